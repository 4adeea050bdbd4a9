"""The same bits on every architecture: kernels and whole models under QEMU against the host and
numpy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from edgeprof.shared.models import quantized
from edgeprof.shared.models.catalogue import resolve
from edgeprof.shared.models.file import ModelFile
from edgeprof.shared.reference import Reference
from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.types.model import KvType, Quantization

Port = tuple[Any, Path]  # a Target of firmware/bench/bench_compute.py, and its image

pytestmark = pytest.mark.qemu
PORTS = ["cortex-m0plus", "cortex-m4", "cortex-m7", "cortex-m7-scalar", "rv32imafc", "rv32imc"]
N_TOKENS = 32  # as bench_compute.c runs
MODELS = {
    "f32": SyntheticLlama(),
    "f16": SyntheticLlama(matrix_type=Type.F16),
    "f16-odd-sizes": SyntheticLlama(
        dim=84, hidden=101, n_heads=6, n_heads_kv=3, matrix_type=Type.F16
    ),
    "q8_0": SyntheticLlama(matrix_type=Type.Q8_0, n_vocab=127),
    "q4_0": SyntheticLlama(matrix_type=Type.Q4_0),
    "tq2_0": SyntheticLlama(matrix_type=Type.TQ2_0, dim=256, hidden=256, n_layers=1),
}


@pytest.fixture(scope="module", params=PORTS)
def port(
    request: pytest.FixtureRequest, bench: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Port:
    """A target and its image."""
    target = bench.TARGETS[request.param]
    return target, target.build(tmp_path_factory.mktemp(request.param))


def _without_times(lines: list[list[str]]) -> list[list[str]]:
    return [[*line[:4], line[5]] for line in lines if line[0] == "kernel"]


def test_kernels_give_the_same_bits(port: Port, bench: ModuleType, tmp_path: Path) -> None:
    """SMLAD, plain C on Arm and RISC-V, and the vectorised host agree on every kernel's output."""
    host = bench.TARGETS["host"]
    expected = _without_times(host.run(host.build(tmp_path)))
    target, image = port

    assert len(expected) == 11
    assert _without_times(target.run(image)) == expected


@pytest.mark.parametrize("name", MODELS)
def test_models_give_the_bits_of_the_reference(
    port: Port, name: str, tmp_path: Path, fnv1a: Callable[[bytes], str]
) -> None:
    """All logits of 32 greedy tokens have the reference's digest, and the tokens are the same; and
    so are the logits after a prompt in batches, which SMLAD has for quantised weights."""
    model = MODELS[name].write(tmp_path / f"{name}.gguf")
    reference = Reference(ModelFile.open(model))
    tokens = reference.greedy([1], N_TOKENS, N_TOKENS, KvType.F16)
    logits = reference.logits([1, *tokens[:-1]], KvType.F16) + np.float32(0)
    target, image = port

    lines = target.run(image, model)

    line = next(line for line in lines if line[0] in ("model", "error"))
    assert [int(token) for token in line[5:]] == tokens
    assert line[4] == fnv1a(logits.tobytes())
    assert not any(line[0] == "error" for line in lines)
    batches = target.name in ("cortex-m4", "cortex-m7") and name[0] in "qt"
    assert next(line[1] for line in lines if line[0] == "prefill") == ("4" if batches else "1")


def test_soft_float_is_ieee(bench: ModuleType, tmp_path: Path) -> None:
    """The Cortex-M0+'s own product, sum and difference have the host's bits for millions of pairs:
    ties, cancellation, denormals, infinities."""
    source = [Path(__file__).parent / "soft_float.c"]
    host, chip = bench.TARGETS["host"], bench.TARGETS["cortex-m0plus"]

    expected = host.run(host.build(tmp_path, source))

    assert len(expected) > 30
    assert chip.run(chip.build(tmp_path, source)) == expected


@pytest.mark.parametrize("name", ["cortex-m4", "cortex-m7"])
def test_dsp_kernels_stay_fast(bench: ModuleType, tmp_path: Path, name: str) -> None:
    """Instructions for each multiply-accumulate on Cortex-M do not creep up (docs/arithmetic.md,
    section 9)."""
    target = bench.TARGETS[name]

    lines = target.run(target.build(tmp_path))

    measured = {line[1]: int(line[4]) / (64 * 256) for line in lines if line[2:4] == ["64", "256"]}
    assert measured["Q8_0"] < 1.65
    assert measured["Q4_0"] < 1.6
    assert measured["TQ2_0"] < 1.32


@pytest.mark.parametrize(
    ("name", "to", "most", "most_of_prompt"),
    [
        ("cortex-m4", Type.Q8_0, 580_000, 345_000),
        ("cortex-m4", Type.Q4_0, 570_000, 340_000),
        ("rv32imafc", Type.Q8_0, 1_110_000, 900_000),
        ("rv32imafc", Type.Q4_0, 1_000_000, 830_000),
    ],
)
def test_tokens_stay_cheap(
    bench: ModuleType, tmp_path: Path, name: str, to: Type, most: int, most_of_prompt: int
) -> None:
    """A whole token of shakespeare-240k at position 31 stays within its instructions, and so does
    one of a prompt at 12 to 15; the operators add up."""
    model = quantized(resolve("shakespeare-240k"), Quantization[to.name], tmp_path)
    target = bench.TARGETS[name]

    lines = target.run(target.build(tmp_path), model.path)

    token = next(int(line[3]) for line in lines if line[0] == "model")
    operators = [int(line[2]) for line in lines if line[0] == "operator"]
    assert token < most
    assert next(int(line[2]) for line in lines if line[0] == "prefill") < most_of_prompt
    assert len(operators) == len(bench.OPERATORS)
    assert abs(sum(operators) - token) < token / 20  # the argmax, and the clock's step
