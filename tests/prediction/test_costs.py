"""Costs fitted to profiles of known costs, and what is predicted from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from edgeprof.client.prediction import advice
from edgeprof.client.prediction.costs import Measured, fit
from edgeprof.client.prediction.predict import past_errors, predict
from edgeprof.client.prediction.roofline import by_operator
from edgeprof.client.prediction.terms import Key, work_of
from edgeprof.shared.types.profile import (
    Ceilings,
    KernelCeiling,
    ModelDimensions,
    Operator,
    Phase,
    Profile,
    ProfileCell,
    ReadCeiling,
)

TICK_HZ = 1_000_000_000
N_PROMPT, N_GEN = 8, 5
#: Nanoseconds of a call, a row or position, and an element; all else costs the last.
TRUE_NS: Mapping[str, tuple[int, int, int]] = {
    "Q8_0": (500, 40, 12),
    "Q4_0": (500, 40, 9),
    "": (300, 20, 7),
}


def dimensions(
    kind: str = "Q8_0", dim: int = 64, hidden: int = 192, n_layers: int = 2
) -> ModelDimensions:
    return ModelDimensions(
        n_layers=n_layers, dim=dim, hidden=hidden, n_heads=8, n_heads_kv=4, head_dim=dim // 8,
        rope_dim=dim // 8, n_vocab=512, embedding_type=kind, head_type=kind,
        layer_types=((kind,) * 7,), kv_type="F16", weights_region="flash",
    )  # fmt: skip


def nanoseconds(key: Key, terms: np.ndarray[tuple[int], np.dtype[np.float64]]) -> int:
    cost = TRUE_NS[key.kind if key.family == "matrix" else ""]
    return int(np.dot(cost, terms))


CEILINGS = Ceilings(
    firmware_git_hash="0",
    clock_hz=TICK_HZ,
    reads=(
        ReadCeiling(
            region="flash", length_bytes=4096,
            first_bytes_per_second=1e9, again_bytes_per_second=1e9,
        ),
    ),
    kernels=tuple(
        KernelCeiling(
            quantization=kind, region="sram", rows=16, macs_per_second=16 * 512 / (ns * 1e-9),
            weight_bytes_per_second=1e8,
        )
        for kind, ns in (
            (kind, np.dot(TRUE_NS[kind], (1, 16, 16 * 512))) for kind in ("Q8_0", "Q4_0")
        )
    ),
)  # fmt: skip


def measured(d: ModelDimensions, *, profiled: bool = True) -> Measured:
    """A case on a platform whose costs are TRUE_NS."""
    cells, totals = [], {Phase.PREFILL: 0, Phase.DECODE: 0}
    for phase in Phase:
        for (operator, key), work in work_of(d, phase, N_PROMPT, N_GEN).items():
            ticks = nanoseconds(key, work.terms)
            totals[phase] += ticks
            cells.append(
                ProfileCell(
                    phase=phase, operator=operator, layer=None, calls=int(work.terms[0]),
                    ticks=ticks, macs=int(work.terms[2]), weight_bytes=int(work.weight_bytes),
                    cache_bytes=0,
                )
            )  # fmt: skip
    profile = Profile(
        tick_hz=TICK_HZ, by_layer=False, cells=tuple(cells), bucket_positions=2, by_position=(),
        prefill_ticks=totals[Phase.PREFILL] + 10, decode_ticks=totals[Phase.DECODE] + 10,
    )  # fmt: skip
    return Measured(
        d, N_PROMPT, N_GEN, totals[Phase.PREFILL] / TICK_HZ, totals[Phase.DECODE] / TICK_HZ,
        profile if profiled else None, CEILINGS if profiled else None,
    )  # fmt: skip


def test_another_shape_is_predicted() -> None:
    """Two shapes tell the costs of every term, and so the time of a third."""
    costs = fit([measured(dimensions()), measured(dimensions(dim=128, hidden=256))])
    other = dimensions(dim=96, hidden=384, n_layers=3)
    truth = measured(other)

    found = predict(costs, other, N_PROMPT, N_GEN)

    assert found is not None
    assert found.prefill_s == pytest.approx(truth.prefill_s, rel=1e-3)
    assert found.decode_s == pytest.approx(truth.decode_s, rel=1e-3)


def test_type_without_a_profile_is_scaled_by_its_ceiling() -> None:
    """A kernel's ceiling says how much faster its products are; all else stays."""
    costs = fit([measured(dimensions("Q8_0")), measured(dimensions("Q8_0", dim=128, hidden=256))])

    found = predict(costs, dimensions("Q4_0"), N_PROMPT, N_GEN)

    assert found is not None
    assert found.decode_s == pytest.approx(measured(dimensions("Q4_0")).decode_s, rel=0.02)


def test_type_without_profile_and_ceiling_is_not_guessed() -> None:
    """Where nothing says how fast a type is there is no prediction, rather than a wrong one."""
    sample = replace(measured(dimensions()), ceilings=None)

    assert predict(fit([sample]), dimensions("Q4_0"), N_PROMPT, N_GEN) is None
    assert predict(fit([]), dimensions(), N_PROMPT, N_GEN) is None


def test_cost_of_looking_is_not_predicted() -> None:
    """What reading the timer adds to every operator is taken off: a plain run is predicted."""
    plain = measured(dimensions())
    assert plain.profile is not None
    dear = [
        cell.model_copy(update={"ticks": cell.ticks + 50 * cell.calls})
        for cell in plain.profile.cells
    ]
    slow = replace(plain, profile=plain.profile.model_copy(update={"cells": tuple(dear)}))

    found = predict(fit([slow]), plain.dimensions, N_PROMPT, N_GEN)

    assert found is not None
    assert found.run_s == pytest.approx(plain.prefill_s + plain.decode_s, rel=0.01)


def test_errors_are_of_models_that_were_held_out() -> None:
    """No model is predicted from itself: one alone has no error, three have theirs."""
    one = [measured(dimensions()), measured(dimensions(), profiled=False)]
    three = [*one, measured(dimensions(dim=128, hidden=256)), measured(dimensions(n_layers=5))]

    assert past_errors(one) is None
    errors = past_errors(three)
    assert errors is not None
    assert errors.n == 8
    assert errors.median <= errors.p90 < 0.3


def test_choices_are_those_that_help() -> None:
    """Faster types come first, with the option that asks for them; slower ones are not told."""
    costs = fit(
        [measured(dimensions(kind, dim=dim)) for kind in ("Q8_0", "Q4_0") for dim in (64, 128)]
    )

    from_q8 = advice.choices(costs, dimensions("Q8_0"), N_PROMPT, N_GEN)
    from_q4 = advice.choices(costs, dimensions("Q4_0"), N_PROMPT, N_GEN)

    assert from_q8[0].option == "-q Q4_0"
    assert from_q8[0].decode_ratio > 1.02
    assert "-q Q8_0" not in {choice.option for choice in from_q4}


def test_roofline_has_no_ceiling_where_none_was_measured() -> None:
    """Products reach a share of the lower ceiling, which binds; other operators have none."""
    sample = measured(dimensions())
    assert sample.profile is not None

    uses = by_operator(sample.profile, Phase.DECODE, sample.dimensions, CEILINGS)
    without = by_operator(sample.profile, Phase.DECODE, sample.dimensions, None)

    assert sum(use.share for use in uses) == pytest.approx(1, abs=0.01)
    for use in uses:
        if use.operator in {Operator.UP, Operator.HEAD}:
            assert use.binds == "compute"
            assert use.reached is not None
            assert 0.5 < use.reached <= 1.01
        if use.operator in {Operator.NORM, Operator.SCORES}:
            assert (use.binds, use.reached) == (None, None)
    assert {use.binds for use in without} == {None}
