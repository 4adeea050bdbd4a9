"""The firmware's own exp, log, sin, cos and half precision: same bits as numpy's model, close to
the truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgeprof.shared.reference import arithmetic
from edgeprof.shared.reference.arithmetic import F32

if TYPE_CHECKING:
    from tests.firmware_compute.conftest import Tool

Function = Callable[[F32], F32]

RNG = np.random.default_rng(11)
EXP = np.concatenate(
    [np.linspace(-100, 100, 40001), [-87, -87.0001, 88, 88.001, 0, -0.0, 1e-30]]
).astype(np.float32)
LOG = np.exp(RNG.uniform(-87, 88, 40000)).astype(np.float32)
ANGLE = np.concatenate([RNG.uniform(0, 8192, 40000), [0], np.arange(1, 200) * np.pi / 4]).astype(
    np.float32
)


@pytest.mark.parametrize(
    ("function", "x", "model"),
    [
        ("exp", EXP, arithmetic.exp),
        ("log", LOG, arithmetic.log),
        ("sin", ANGLE, lambda x: arithmetic.sin_cos(x)[0]),
        ("cos", ANGLE, lambda x: arithmetic.sin_cos(x)[1]),
    ],
)
def test_same_bits_as_the_reference(tool: Tool, function: str, x: F32, model: Function) -> None:
    """C and numpy carry out the same operations in the same order."""
    np.testing.assert_array_equal(model(x).view(np.uint32), tool.map(function, x))


@pytest.mark.parametrize(
    ("model", "truth", "x", "ulps"),
    [
        (arithmetic.exp, np.exp, EXP[(EXP > -87) & (EXP < 88)], 2),
        (arithmetic.log, np.log, LOG[np.abs(np.log(LOG)) > 0.1], 2),
    ],
)
def test_within_two_units_in_the_last_place(
    model: Function, truth: Function, x: F32, ulps: int
) -> None:
    """exp and log are as accurate as their comment claims."""
    exact = truth(x.astype(np.float64))

    assert np.abs((model(x) - exact) / np.spacing(np.abs(exact).astype(np.float32))).max() <= ulps


def test_sine_and_cosine_are_accurate_over_the_documented_range() -> None:
    """Below 8192 radians the error stays under 2^-21, far below that of the angle itself."""
    sin, cos = arithmetic.sin_cos(ANGLE)

    assert np.abs(sin - np.sin(ANGLE.astype(np.float64))).max() < 2**-21
    assert np.abs(cos - np.cos(ANGLE.astype(np.float64))).max() < 2**-21


def test_half_to_single_is_exact_for_every_half(tool: Tool) -> None:
    """All 65,536 halves widen to the same value; a NaN stays a NaN."""
    words = np.arange(65536, dtype=np.uint32)
    expected = words.astype(np.uint16).view(np.float16).astype(np.float32)

    actual = tool.map("f32", words).view(np.float32)

    np.testing.assert_array_equal(expected, actual)


def test_single_to_half_rounds_to_nearest_even(tool: Tool) -> None:
    """Rounding, ties, denormals and overflow agree with numpy."""
    halves = np.arange(0, 31744, dtype=np.uint16).view(np.float16).astype(np.float32)
    ties = ((halves[:-1].astype(np.float64) + halves[1:]) / 2).astype(np.float32)
    edges = np.array([65504, 65519.996, 65520, 1e9, np.inf, 2.0**-25, 2.0**-24, 1e-40], np.float32)
    x = np.concatenate(
        [ties, np.nextafter(ties, 0), edges, -ties, RNG.normal(0, 100, 10000).astype(np.float32)]
    )
    with np.errstate(over="ignore"):
        expected = x.astype(np.float16).view(np.uint16).astype(np.uint32)

    np.testing.assert_array_equal(expected, tool.map("f16", x))
