"""Feed-forward layers are padded only where a type's blocks need it; it changes no result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models import ConvertibleModel, ModelFile
from edgeprof.shared.models.padding import KEY
from edgeprof.shared.models.quantize import dequantized, padding_note, quantize
from edgeprof.shared.reference import Reference
from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.types.model import KvType, Quantization

Rewrite = Callable[..., ConvertibleModel]

#: stories260K's shape: a hidden width of 172 that no block divides.
SHAPE = SyntheticLlama(dim=64, hidden=172, n_layers=2, n_heads=8, n_heads_kv=4, n_vocab=99)
TOKENS = [5, 17, 3, 98, 41, 0, 77, 23, 8, 64]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    """A random F32 model of that shape."""
    return ModelFile.open(SHAPE.write(tmp_path_factory.mktemp("m") / "m.gguf"))


@pytest.mark.parametrize("to", [Quantization.F32, Quantization.F16])
def test_types_without_blocks_keep_the_true_shape(
    source: ModelFile, tmp_path: Path, to: Quantization
) -> None:
    """F32 and F16 have no blocks, so nothing is padded and nothing is said."""
    made = quantize(source, to, tmp_path / "q.gguf")

    assert (made.shape, made.n_params) == (source.shape, source.n_params)
    assert padding_note(made) is None
    assert KEY not in made.header.metadata


@pytest.mark.parametrize("to", [Quantization.Q8_0, Quantization.Q4_0])
def test_padding_is_zeros_that_are_told_and_not_counted(
    source: ModelFile, tmp_path: Path, to: Quantization
) -> None:
    """172 becomes 192 in all three matrices of each layer."""
    made = quantize(source, to, tmp_path / "q.gguf")

    assert (made.shape.hidden, made.true_hidden) == (192, 172)
    assert made.n_params == source.n_params
    assert made.quantization is to
    assert "172 is padded with zeros to 192" in (padding_note(made) or "")
    for layer in range(2):
        for part, padded in (("gate", np.s_[172:]), ("up", np.s_[172:]), ("down", np.s_[:, 172:])):
            weights = dequantized(made, made.header.tensors[f"blk.{layer}.ffn_{part}.weight"])
            assert weights[:172, :64].any()
            assert not weights[padded].any()


def test_two_bits_are_padded_to_256(tmp_path: Path) -> None:
    """A block of TQ2_0 is 256 weights, and 300 hidden units become 512."""
    shape = replace(SHAPE, dim=256, hidden=300, n_layers=1)
    source = ModelFile.open(shape.write(tmp_path / "m.gguf"))

    made = quantize(source, Quantization.TQ2_0, tmp_path / "q.gguf")

    assert (made.shape.hidden, made.true_hidden, made.n_params) == (512, 300, source.n_params)


@pytest.mark.parametrize("to", [Quantization.Q8_0, Quantization.Q4_0])
def test_padding_changes_no_result(source: ModelFile, tmp_path: Path, to: Quantization) -> None:
    """The same weights with and without padding: equal bits of likelihood, equal greedy tokens."""
    padded = quantize(source, to, tmp_path / "padded.gguf")
    # F32 of it holds the same weights at the true width; and as F32 with its zeros
    true = quantize(padded, Quantization.F32, tmp_path / "true.gguf")
    with_zeros = _as_f32_with_zeros(padded, tmp_path / "zeros.gguf")
    assert (true.shape.hidden, with_zeros.shape.hidden) == (172, 192)

    results = [
        (Reference(model).score(TOKENS, KvType.F32)[0],
         Reference(model).greedy(TOKENS, 20, 32, KvType.F32))
        for model in (true, with_zeros)
    ]  # fmt: skip

    assert results[0] == results[1]


@pytest.mark.parametrize("to", [Quantization.Q8_0, Quantization.Q4_0])
def test_blocks_of_padded_models_compute_what_their_weights_say(
    source: ModelFile, tmp_path: Path, to: Quantization
) -> None:
    """Quantised arithmetic over padded blocks is close to the F32 of its weights."""
    padded = quantize(source, to, tmp_path / "padded.gguf")
    true = quantize(padded, Quantization.F32, tmp_path / "true.gguf")

    blocks, _ = Reference(padded).score(TOKENS, KvType.F32)
    floats, _ = Reference(true).score(TOKENS, KvType.F32)

    np.testing.assert_allclose(blocks, floats, atol=0.05)


def _as_f32_with_zeros(padded: ModelFile, out: Path) -> ModelFile:
    """The padded model's weights in F32 without taking the zeros off: its key is not known."""
    hidden = padded.path.with_name("unknown.gguf")
    hidden.write_bytes(padded.data.replace(KEY.encode(), b"x" * len(KEY)))
    return quantize(ModelFile.open(hidden), Quantization.F32, out)


def test_padding_is_taken_off_again(source: ModelFile, tmp_path: Path) -> None:
    """Q8_0 (192) to F16 has the true width again; what is made of that starts from 172."""
    padded = quantize(source, Quantization.Q8_0, tmp_path / "q8.gguf")

    made = quantize(padded, Quantization.F16, tmp_path / "f16.gguf")
    again = quantize(made, Quantization.Q8_0, tmp_path / "again.gguf")

    assert (made.shape, KEY in made.header.metadata) == (source.shape, False)
    assert (again.shape.hidden, again.true_hidden) == (192, 172)


def test_a_key_that_lies_hides_no_weights(source: ModelFile, tmp_path: Path) -> None:
    """Rows that are called padding and are not zeros are weights: counted, and kept."""
    padded = quantize(source, Quantization.Q8_0, tmp_path / "q8.gguf")
    key = KEY.encode() + (4).to_bytes(4, "little")
    lying = padded.data.replace(
        key + (172).to_bytes(4, "little"), key + (160).to_bytes(4, "little")
    )
    (tmp_path / "lying.gguf").write_bytes(lying)

    opened = ModelFile.open(tmp_path / "lying.gguf")

    assert opened.true_hidden == 192
    assert opened.n_params > source.n_params
    assert quantize(opened, Quantization.F32, tmp_path / "f32.gguf").shape.hidden == 192


@pytest.mark.parametrize("dim", [16, 172])
def test_the_embeddings_width_cannot_be_padded(tmp_path: Path, dim: int) -> None:
    """Norms would average over zeros there; the refusal says so, and which types do apply."""
    source = ModelFile.open(replace(SHAPE, dim=dim, n_heads=2, n_heads_kv=1).write(tmp_path / "m"))

    with pytest.raises(ModelError, match="the embedding's width cannot be padded") as caught:
        quantize(source, Quantization.Q8_0, tmp_path / "q.gguf")

    assert "F32, F16" in (caught.value.hint or "")
    assert not (tmp_path / "q.gguf").exists()


def test_matrices_already_of_the_type_are_padded_without_rounding_again(
    tmp_path: Path, rewrite: Rewrite
) -> None:
    """Gate and up in Q4_0 beside a down in F16: their blocks stay, and zeros follow."""
    shape = replace(SHAPE, hidden=44, n_layers=1)
    floats = ConvertibleModel.open(shape.write(tmp_path / "floats.gguf"))
    types = {
        name: Type.F16 if "ffn_down" in name else Type.Q4_0
        for name, info in floats.header.tensors.items()
        if len(info.ne) == 2
    }
    mixed = rewrite(floats, tmp_path / "mixed.gguf", types=types)

    made = quantize(mixed, Quantization.Q4_0, tmp_path / "q.gguf")

    name = "blk.0.ffn_gate.weight"
    before, after = mixed.raw_tensor(name), made.raw_tensor(name)
    assert before is not None
    assert after is not None
    assert after[1].tobytes().startswith(before[1].tobytes())
    assert not dequantized(made, made.header.tensors[name])[44:].any()
