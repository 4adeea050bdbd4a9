"""Finite weights whose numbers overflow on the way: a fault of the model, which the reference
finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference import Reference
from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.types.model import KvType

TOKENS = [1, 5, 9, 2, 7]


def model(folder: Path, factors: dict[str, float]) -> ModelFile:
    """A small F32 model, some of whose tensors are multiplied."""
    path = SyntheticLlama(n_layers=2).write(folder / "m.gguf")
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    for name, factor in factors.items():
        info = ModelFile.open(path).header.tensors[name]
        weights = data[info.offset : info.offset + info.n_bytes].view("<f4")
        weights *= np.float32(factor)
    path.write_bytes(data.tobytes())
    return ModelFile.open(path)


OVERFLOWS = {
    "squares of the embedding": {"token_embd.weight": 1e25},
    "attention scores": {"blk.0.attn_q.weight": 1e20, "blk.0.attn_k.weight": 1e20},
    "keys": {"blk.1.attn_k.weight": 3e38, "blk.1.attn_norm.weight": 1e10},
    "feed-forward": {"blk.0.ffn_up.weight": 1e25, "blk.0.ffn_gate.weight": 1e25},
    "attention's output": {"blk.0.attn_v.weight": 1e30, "blk.0.attn_output.weight": 1e30},
    "logits": {"output_norm.weight": 1e38, "token_embd.weight": 1e3},
}


@pytest.mark.parametrize("what", OVERFLOWS)
def test_whatever_overflows_is_a_fault_of_the_model(tmp_path: Path, what: str) -> None:
    """An overflow anywhere on the way is the model's fault, also where the logits are finite again,
    without a warning."""
    reference = Reference(model(tmp_path, OVERFLOWS[what]))

    for compute in (
        lambda: reference.score(TOKENS, KvType.F32),
        lambda: reference.greedy(TOKENS, 4, 16, KvType.F32),
    ):
        with pytest.raises(
            ModelError, match=r"numbers overflow: its .* at position [04] "
        ) as found:
            compute()
        assert found.value.code == "not_finite"


def test_a_cache_of_f16_overflows_earlier(tmp_path: Path) -> None:
    """Keys that only F32 holds are refused with an F16 cache, with what helps, and run with an F32
    one."""
    reference = Reference(model(tmp_path, {"blk.0.attn_k.weight": 1e6}))

    with pytest.raises(ModelError, match="keys or values of layer 0") as found:
        reference.score(TOKENS, KvType.F16)

    assert "F32" in (found.value.hint or "")
    assert np.isfinite(reference.score(TOKENS, KvType.F32)[0]).all()


def test_the_position_is_that_of_the_token(tmp_path: Path) -> None:
    """One token whose embedding is too large is found where it stands, in the prompt or
    generated."""
    path = SyntheticLlama(n_layers=1, n_ctx=128).write(tmp_path / "m.gguf")
    info = ModelFile.open(path).header.tensors["token_embd.weight"]
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    data[info.offset : info.offset + info.n_bytes].view("<f4")[9 * 64 : 10 * 64] = 1e25
    path.write_bytes(data.tobytes())
    sound = [1, 5, 2, 7]

    with pytest.raises(ModelError, match="at position 70"):
        Reference(ModelFile.open(path)).logits(sound * 16 + sound + [1, 5, 9], KvType.F32)


def test_what_is_large_but_finite_is_computed(tmp_path: Path) -> None:
    """No limit but the numbers' own: weights of 1e5 run."""
    reference = Reference(model(tmp_path, {"blk.0.ffn_up.weight": 1e6, "token_embd.weight": 1e3}))

    assert np.isfinite(reference.logits(TOKENS)).all()
