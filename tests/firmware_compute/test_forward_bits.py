"""The firmware's forward pass against the numpy reference: equal bits, not close numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from edgeprof.shared.models.file import ModelFile
from edgeprof.shared.reference import Reference
from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.types.model import KvType

if TYPE_CHECKING:
    from tests.firmware_compute.conftest import Tool

MODELS = {
    "f32": SyntheticLlama(),
    "f32-odd-sizes": SyntheticLlama(
        dim=84, hidden=101, n_heads=6, n_heads_kv=2, rope_dim=6, n_vocab=99
    ),
    "f32-untied-one-layer": SyntheticLlama(n_layers=1, output_type=Type.F32),
    "f16-odd-sizes": SyntheticLlama(
        dim=84, hidden=101, n_heads=6, n_heads_kv=3, matrix_type=Type.F16
    ),
    "q8_0": SyntheticLlama(matrix_type=Type.Q8_0, n_vocab=127),
    "q4_0-output-q8_0": SyntheticLlama(matrix_type=Type.Q4_0, output_type=Type.Q8_0),
    "q4_0-embedding-f16": SyntheticLlama(matrix_type=Type.Q4_0, embedding_type=Type.F16),
    # fewer than the eight rows and cached positions that wide kernels take at a time, and one over
    "q4_0-few-rows": SyntheticLlama(
        matrix_type=Type.Q4_0, output_type=Type.F32, dim=32, n_heads=8, n_heads_kv=1, n_vocab=9
    ),
    "tq2_0": SyntheticLlama(matrix_type=Type.TQ2_0, dim=256, hidden=256, n_layers=1),
    "tq2_0-embedding-q8_0": SyntheticLlama(
        matrix_type=Type.TQ2_0, embedding_type=Type.Q8_0, dim=256, hidden=512, n_layers=1
    ),
}


@pytest.fixture(params=MODELS, scope="module")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each synthetic model as a file."""
    return MODELS[request.param].write(tmp_path_factory.mktemp("models") / f"{request.param}.gguf")


@pytest.fixture(scope="module")
def tokens(model: Path) -> list[int]:
    """Enough tokens to pass a chunk of the reference and a whole turn of eight lanes."""
    vocabulary = ModelFile.open(model).shape.n_vocab
    return [int(t) for t in np.random.default_rng(5).integers(0, vocabulary, 64)]


@pytest.mark.parametrize("kv_type", list(KvType))
def test_logits_equal_bit_for_bit(
    tool: Tool, model: Path, tokens: list[int], kv_type: KvType
) -> None:
    """Every logit of every position has the same bits in C and in numpy."""
    expected = Reference(ModelFile.open(model)).logits(tokens, kv_type)

    actual = tool.logits(model, kv_type is KvType.F16, tokens)

    np.testing.assert_array_equal(expected + np.float32(0), actual + np.float32(0))  # -0 may be 0


@pytest.mark.parametrize("kv_type", list(KvType))
def test_every_hosts_kernels_give_the_same_bits(
    optimized: Tool, other_host: Tool, model: Path, tokens: list[int], kv_type: KvType
) -> None:
    """With AVX2, without it, and with NEON: the same logits."""
    half = kv_type is KvType.F16

    expected = optimized.logits(model, half, tokens)

    np.testing.assert_array_equal(expected, other_host.logits(model, half, tokens))


def test_greedy_tokens_equal(tool: Tool, model: Path, tokens: list[int]) -> None:
    """Greedy decoding continues a prompt with the same ids, whether in batches or not."""
    expected = Reference(ModelFile.open(model)).greedy(tokens[:9], 40, 64, KvType.F16)

    out = tool.run("greedy", model, 64, 1, 40, *tokens[:9])

    assert [int(line) for line in out.split()] == expected


def test_scores_equal_bit_for_bit(tool: Tool, model: Path, tokens: list[int]) -> None:
    """Log-likelihoods have the same bits, and the most likely ids are the same."""
    likelihoods, top1 = Reference(ModelFile.open(model)).score(tokens, KvType.F16)

    lines = [line.split() for line in tool.run("score", model, 0, 1, *tokens).decode().splitlines()]

    assert [int(word, 16) for word, _ in lines] == np.array(likelihoods, np.float32).view(
        np.uint32
    ).tolist()
    assert [int(token) for _, token in lines] == top1


@pytest.mark.parametrize("kv_bytes", [4, 2])
def test_memory_is_the_documented_formula(sanitized: Tool, model: Path, kv_bytes: int) -> None:
    """KV cache and activations take what docs/arithmetic.md, section 7, says, and nothing else is
    taken."""
    s, n_ctx = ModelFile.open(model).shape, 37

    def up(n: int) -> int:
        return -(-n // 16) * 16

    kv_dim = s.n_heads_kv * s.head_dim
    widest = max(s.dim, s.hidden)
    blocks = -(-widest // 32)
    kv = 2 * up(s.n_layers * n_ctx * kv_dim * kv_bytes)
    activations = (
        up(72 * s.n_layers)
        + 3 * up(4 * s.dim)
        + 2 * up(4 * kv_dim)
        + 2 * up(4 * s.hidden)
        + up(8 * n_ctx)
        + up(4 * (s.rope_dim // 2))
        + up(4 * s.rope_dim)
        + up(4 * s.n_vocab)
        + up(2 * widest)
        + 2 * up(4 * blocks)
    )

    out = sanitized.run("memory", model, n_ctx, int(kv_bytes == 2))

    assert [int(n) for n in out.split()] == [kv, activations, kv + activations]
