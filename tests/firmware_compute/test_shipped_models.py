"""The models that ship: the firmware's answers are the reference's, and the reference's are
llama's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgeprof.shared.models.file import ModelFile
from edgeprof.shared.reference import Reference
from edgeprof.shared.reference.exact import exact_logits
from edgeprof.shared.types.model import KvType

if TYPE_CHECKING:
    from types import ModuleType

    from tests.firmware_compute.conftest import Tool

MODELS = sorted((Path(__file__).resolve().parents[2] / "models").glob("*.gguf"))
PROMPT = [1, 300, 301, 302, 40, 41, 42, 43]


@pytest.fixture(params=MODELS, ids=lambda path: path.stem, scope="module")
def model(request: pytest.FixtureRequest) -> Path:
    """Each GGUF in models/."""
    path: Path = request.param
    return path


@pytest.mark.parametrize("kv_type", list(KvType))
def test_sixty_four_greedy_tokens_equal(optimized: Tool, model: Path, kv_type: KvType) -> None:
    """The host build generates the reference's ids."""
    expected = Reference(ModelFile.open(model)).greedy(PROMPT, 64, 128, kv_type)

    out = optimized.run("greedy", model, 128, int(kv_type is KvType.F16), 64, *PROMPT)

    assert [int(line) for line in out.split()] == expected


def test_logits_of_a_full_context_equal_bit_for_bit(optimized: Tool, model: Path) -> None:
    """Every logit is the reference's, up to the last position that the model was trained for."""
    shape = ModelFile.open(model).shape
    tokens = [int(t) for t in np.random.default_rng(8).integers(3, shape.n_vocab, shape.n_ctx)]

    np.testing.assert_array_equal(
        Reference(ModelFile.open(model)).logits(tokens), optimized.logits(model, True, tokens)
    )


def test_the_reference_computes_the_network(model: Path) -> None:
    """The written arithmetic stays close to double precision on a trained model, too."""
    file = ModelFile.open(model)
    tokens = Reference(file).greedy(PROMPT, 64, 128, KvType.F16)
    exact = exact_logits(file, tokens)

    difference = Reference(file).logits(tokens) - exact

    assert np.sqrt((difference**2).mean() / (exact**2).mean()) < 0.05


@pytest.mark.qemu
@pytest.mark.parametrize("port", ["cortex-m4", "cortex-m7", "rv32imafc"])
def test_chips_generate_the_same(bench: ModuleType, port: str, model: Path, tmp_path: Path) -> None:
    """Cortex-M4, Cortex-M7 and RISC-V generate the reference's first 32 ids."""
    target: Any = bench.TARGETS[port]

    lines = target.run(target.build(tmp_path), model)

    line = next(line for line in lines if line[0] in ("model", "error"))
    assert [int(token) for token in line[5:]] == Reference(ModelFile.open(model)).greedy(
        [1], 32, 32
    )
