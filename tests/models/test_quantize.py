"""Other weight types: ggml's own bytes, the error bounds of each type, refusals with the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from edgeprof.shared.errors import HostFault, ModelError
from edgeprof.shared.models import ModelFile, quantized
from edgeprof.shared.models.gguf_values import Value
from edgeprof.shared.models.quantize import dequantized, head_in, name_with_head, quantize
from edgeprof.shared.models.source import name_of, source_of
from edgeprof.shared.models.tensor_types import TENSOR_TYPES
from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.types.model import ModelSource, Quantization
from edgeprof.shared.types.wire import is_name

#: Largest error as a share of the block's largest weight: half a step (Q4_0 clips its positive end:
#: a whole one), and the rounding of the scale to F16.
BOUNDS = {
    Quantization.F16: 2**-11,
    Quantization.Q8_0: 0.5 / 127 + 2**-11,
    Quantization.Q4_0: 1 / 8 + 2**-11,
}


@pytest.mark.parametrize("to", BOUNDS)
def test_weights_stay_within_the_types_error(
    small: ModelFile, tmp_path: Path, to: Quantization
) -> None:
    """Every matrix becomes `to`, norms stay F32 and equal, no weight moves by more than its block
    allows."""
    made = quantize(small, to, tmp_path / "q.gguf")

    assert made.quantization is to
    for name, info in made.header.tensors.items():
        before = dequantized(small, small.header.tensors[name])
        after = dequantized(made, info)
        if len(info.ne) == 1:
            assert info.quantization is Quantization.F32
            np.testing.assert_array_equal(after, before)
            continue
        assert info.quantization is to
        # F16's error is relative to each weight, the others' to the block's largest
        size = 1 if to is Quantization.F16 else 32
        largest = np.abs(before.reshape(-1, size)).max(axis=1, keepdims=True)
        error = np.abs(after - before).reshape(-1, size)
        assert (error <= BOUNDS[to] * largest + 2**-24).all()


@pytest.mark.parametrize("to", [Quantization.Q8_0, Quantization.Q4_0])
def test_bytes_are_those_of_the_gguf_package(
    small: ModelFile, tmp_path: Path, to: Quantization
) -> None:
    """Blocks are ggml's quantisers' output, which is byte-identical to llama.cpp's."""
    made = quantize(small, to, tmp_path / "q.gguf")
    name = "blk.1.ffn_down.weight"
    weights = dequantized(small, small.header.tensors[name])

    tensor = made.raw_tensor(name)

    assert tensor is not None
    expected = gguf.quants.quantize(weights, gguf.GGMLQuantizationType[to])
    assert tensor[1].tobytes() == expected.tobytes()


def test_two_bits_lose_nothing_of_the_ternary_model(ternary: ModelFile, tmp_path: Path) -> None:
    """TQ2_0 -> F32 -> TQ2_0 gives back every byte of every tensor: the model was trained on its own
    blocks."""
    floats = quantize(ternary, Quantization.F32, tmp_path / "f32.gguf")
    again = quantize(floats, Quantization.TQ2_0, tmp_path / "tq2_0.gguf")

    assert again.quantization is Quantization.TQ2_0
    for name in ternary.header.tensors:
        before, after = ternary.raw_tensor(name), again.raw_tensor(name)
        assert before is not None
        assert after is not None
        assert before[0] == after[0]
        assert before[1].tobytes() == after[1].tobytes()


def test_ternary_weights_are_ternary(ternary: ModelFile) -> None:
    """Each 256-block of a layer's matrices holds only -d, 0 and d; the embedding is F16."""
    for info in ternary.header.tensors.values():
        if info.quantization is Quantization.TQ2_0:
            blocks = np.abs(dequantized(ternary, info)).reshape(-1, 256)
            assert ((blocks == 0) | (blocks == blocks.max(axis=1, keepdims=True))).all()
    assert ternary.header.tensors["token_embd.weight"].quantization is Quantization.Q8_0


@pytest.mark.parametrize(
    ("to", "head", "made"),
    [
        (Quantization.TQ2_0, None, Quantization.Q8_0),
        (Quantization.TQ2_0, Quantization.F16, Quantization.F16),
        (Quantization.Q4_0, None, Quantization.Q4_0),
        (Quantization.Q4_0, Quantization.Q8_0, Quantization.Q8_0),
    ],
)
def test_the_head_has_a_type_of_its_own(
    ternary: ModelFile,
    tmp_path: Path,
    to: Quantization,
    head: Quantization | None,
    made: Quantization,
) -> None:
    """Embedding and output head become the type that was asked for; else the layers', but never two
    bits."""
    model = quantize(ternary, to, tmp_path / "q.gguf", head=head)

    assert model.header.tensors["token_embd.weight"].quantization is made
    assert model.quantization is to


def test_same_input_same_bytes(small: ModelFile, tmp_path: Path) -> None:
    """Quantising twice gives one file content, so one hash names it."""
    first = quantize(small, Quantization.Q4_0, tmp_path / "a.gguf")
    second = quantize(small, Quantization.Q4_0, tmp_path / "b.gguf")

    assert first.sha256 == second.sha256


def test_metadata_survives(small: ModelFile, tmp_path: Path) -> None:
    """Tokenizer and hyperparameters are the original's."""
    made = quantize(small, Quantization.Q8_0, tmp_path / "q.gguf")

    for key, value in small.header.metadata.items():
        if key != "general.file_type":
            assert made.header.metadata[key] == value
    assert made.shape == small.shape


def test_tokens_that_are_not_utf8_survive(tmp_path: Path) -> None:
    """Token pieces are bytes; those that are not UTF-8 come through unchanged."""
    path = SyntheticLlama(n_layers=1).write(tmp_path / "m.gguf")
    path.write_bytes(path.read_bytes().replace(b"t127", b"t\xff\xfe7", 1))

    made = quantize(ModelFile.open(path), Quantization.Q8_0, tmp_path / "q.gguf")

    assert b"t\xff\xfe7" in made.data


def test_rows_that_do_not_divide_are_refused(small: ModelFile, tmp_path: Path) -> None:
    """The refusal names the tensor, its row length and the block; nothing is written."""
    with pytest.raises(ModelError, match=r"'blk\.0\.attn_q\.weight' have 64 weights.*256"):
        quantize(small, Quantization.TQ2_0, tmp_path / "q.gguf")

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_the_hosts_fault(
    small: ModelFile, tmp_path: Path
) -> None:
    """A folder that cannot be written is a HostFault in one line, not the model's fault."""
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(HostFault, match="cannot write"):
        quantize(small, Quantization.F16, tmp_path / "file" / "q.gguf")


def test_cache_makes_a_type_once(small: ModelFile, tmp_path: Path) -> None:
    """The second call opens the file of the first; the model's own type is the model."""
    made = quantized(small, Quantization.Q8_0, tmp_path)
    stamp = made.path.stat().st_mtime_ns

    assert quantized(small, Quantization.Q8_0, tmp_path).path.stat().st_mtime_ns == stamp
    assert quantized(small, Quantization.F32, tmp_path) is small
    assert [path.name for path in tmp_path.iterdir()] == [made.path.name]


def test_a_head_of_its_own_is_in_the_name(small: ModelFile, tmp_path: Path) -> None:
    """Embedding and head have the type that was asked for, the layers theirs; the type's name does
    not tell, so the model's name does."""
    made = quantized(small, Quantization.Q4_0, tmp_path, Quantization.F16)
    plain = quantized(small, Quantization.Q4_0, tmp_path)

    types = {name: info.type_name for name, info in made.header.tensors.items()}
    assert types["token_embd.weight"] == "F16"
    assert types["blk.0.attn_q.weight"] == "Q4_0"
    assert made.name == f"{small.name}-head-F16"
    assert head_in(made.name) == (small.name, Quantization.F16)
    assert head_in("a-head-of-its-own") == ("a-head-of-its-own", None)
    assert is_name(name_with_head("n" * 64, Quantization.TQ2_0))
    assert (plain.name, made.quantization) == (small.name, Quantization.Q4_0)
    assert quantized(small, Quantization.Q4_0, tmp_path, Quantization.F16).sha256 == made.sha256


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # in the weights: the file is still a model
    path.write_bytes(content)


def _of_another(path: Path) -> None:
    other = SyntheticLlama(n_layers=1, seed=5).write(path.with_name("other"))
    other.replace(path)


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [_empty, _cut_off, _one_bit, _of_another, _a_folder])
def test_a_damaged_entry_of_the_cache_is_made_anew(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """A cache entry whose content is not what its name says is neither used nor in the way."""
    model = ModelFile.open(SyntheticLlama(n_layers=1).write(tmp_path / "m.gguf"))
    cache = tmp_path / "cache"
    made = quantized(model, Quantization.Q8_0, cache)
    damage(made.path)

    again = quantized(model, Quantization.Q8_0, cache)

    assert again.sha256 == made.sha256
    assert ModelFile.open(again.path).sha256 == made.sha256


def test_the_source_and_each_conversion_are_in_the_file(tmp_path: Path) -> None:
    """Q8_0 made of Q4_0 has the errors of Q4_0, and says so; the source is the first file."""
    first = ModelFile.open(SyntheticLlama(n_layers=1).write(tmp_path / "tiny-story.gguf"))
    middle = quantize(first, Quantization.Q4_0, tmp_path / "other-name.gguf")
    last = quantize(ModelFile.open(middle.path), Quantization.Q8_0, tmp_path / "last.gguf")

    source = ModelFile.open(last.path).ref.source
    assert source == ModelSource(
        file="tiny-story.gguf", sha256=first.sha256, chain=("F32", "Q4_0", "Q8_0")
    )
    assert (middle.ref.made_as, last.ref.made_as) == ("Q4_0", "Q4_0>Q8_0")


def test_a_model_is_called_by_its_file_in_every_type(tmp_path: Path) -> None:
    """A model has the name of its file: not general.name, which converters set to "llama", nor the
    name of a cache entry."""
    path = SyntheticLlama(n_layers=1).write(tmp_path / "tiny-story.F32.gguf")
    model = ModelFile.open(path)

    assert model.name == "tiny-story"
    assert quantized(model, Quantization.Q8_0, tmp_path / "cache").name == "tiny-story"
    assert quantized(model, Quantization.Q8_0, tmp_path / "cache").name == "tiny-story"  # kept


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("stories260K-Q8_0.gguf", "stories260K"),
        ("a.b.q4_k_m.gguf", "a.b"),
        ("Q8_0.gguf", "Q8_0"),
        ("-F16.gguf", "F16"),
        ("\u00fcber gro\u00df.gguf", "ber-gro"),
        ("x" * 200 + ".gguf", "x" * 64),
        ("\u2603.gguf", "model"),
    ],
)
def test_names_of_files_become_names(file: str, name: str) -> None:
    """A file's name becomes a name in the alphabet of labels and queues, without the type."""
    assert name_of(Path(file)) == name
    assert is_name(name)


def test_a_file_that_another_program_converted_says_so(tmp_path: Path) -> None:
    """A file that another program converted keeps our keys; its chain goes on with the file's own
    type."""
    first = ModelFile.open(SyntheticLlama(n_layers=1).write(tmp_path / "m.gguf"))
    made = quantize(first, Quantization.Q8_0, tmp_path / "q.gguf")

    source = source_of(made.header.metadata, made.path, made.sha256, "Q4_0")

    assert source.chain == ("F32", "Q8_0", "Q4_0")


def test_false_words_about_the_source_are_passed_over(tmp_path: Path) -> None:
    """Anybody can write the keys: what is no source is as if absent."""
    metadata = {"edgeprof.source.file": Value(8, "x" * 300), "edgeprof.source.sha256": Value(4, 7)}

    source = source_of(metadata, tmp_path / "a\udcffb.gguf", "0" * 64, "F16")

    assert source == ModelSource(file="a\ufffdb.gguf", sha256="0" * 64, chain=("F16",))


@pytest.mark.parametrize("kind", TENSOR_TYPES)
def test_block_sizes_are_ggmls(kind: int) -> None:
    """Our table of blocks is the gguf package's."""
    _, block, block_bytes = TENSOR_TYPES[kind]

    assert gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(kind)] == (block, block_bytes)
