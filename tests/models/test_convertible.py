"""More can be converted from than boards run: every type that the gguf package reads."""

from __future__ import annotations

import shlex
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models import ConvertibleModel, ModelFile, catalogue, quantized
from edgeprof.shared.models.quantize import dequantized, quantize
from edgeprof.shared.models.tensor_types import TENSOR_TYPES, layout
from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.types.model import Quantization

READABLE = [kind for kind in Type if layout(kind)]
DIM = 256


def _is_written(kind: Type) -> bool:
    try:
        gguf.quants.quantize(np.zeros((1, DIM), np.float32), kind)
    except NotImplementedError:
        return False
    return True


WRITABLE = [kind for kind in READABLE if _is_written(kind)]


def write(
    path: Path, matrix: Type, *, embedding: Type | None = None, norm: Type = Type.F32
) -> Path:
    """A llama of one layer with blocks of these types: random bytes, every scale finite."""
    rng = np.random.default_rng(3)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(16)
    writer.add_embedding_length(DIM)
    writer.add_feed_forward_length(DIM)
    writer.add_block_count(1)
    writer.add_head_count(4)
    writer.add_layer_norm_rms_eps(1e-5)

    def add(name: str, kind: Type, *shape: int) -> None:
        block, n_bytes = gguf.GGML_QUANT_SIZES[kind]
        row = shape[-1] // block * n_bytes
        # No byte above 0x3F: then no two, four or eight of them are a float of 2 or more.
        raw = rng.integers(0, 0x40, (*shape[:-1], row), np.uint8)
        writer.add_tensor(name, raw, raw_dtype=kind)

    add("token_embd.weight", embedding or matrix, 8, DIM)
    add("output_norm.weight", norm, DIM)
    for part in ("attn_norm", "ffn_norm"):
        add(f"blk.0.{part}.weight", norm, DIM)
    for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        add(f"blk.0.{part}.weight", matrix, DIM, DIM)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_every_type_of_llama_cpp_files_is_readable() -> None:
    """All types that llama-quantize writes, and BF16 and F64; not those that are no weights."""
    names = {kind.name for kind in READABLE}

    assert {"Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "BF16", "F64"} <= names
    assert {"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_S", "IQ3_S", "IQ4_NL", "IQ4_XS", "TQ1_0"} <= names
    assert names.isdisjoint({"I8", "I16", "I32", "I64", "Q8_1", "Q8_K"})


@pytest.mark.parametrize("kind", READABLE, ids=lambda kind: str(kind.name))
def test_weights_are_those_that_the_gguf_package_reads(tmp_path: Path, kind: Type) -> None:
    """A file of any readable type opens; F32 made of it holds the weights of ggml's blocks."""
    source = ConvertibleModel.open(write(tmp_path / "m.gguf", kind))
    reader = {tensor.name: tensor for tensor in gguf.GGUFReader(source.path).tensors}

    made = quantize(source, Quantization.F32, tmp_path / "f32.gguf")

    assert source.label == kind.name
    assert isinstance(source, ModelFile) == (kind in TENSOR_TYPES)
    for name, info in made.header.tensors.items():
        if len(info.ne) == 1:
            continue  # norms are F32 in both
        data = reader[name].data
        expected = data if kind is Type.F64 else gguf.quants.dequantize(data, kind)
        np.testing.assert_array_equal(dequantized(made, info), expected.astype(np.float32))
        assert dequantized(made, info).any()


@pytest.mark.parametrize("kind", WRITABLE, ids=lambda kind: str(kind.name))
def test_what_the_gguf_package_quantizes_round_trips(tmp_path: Path, kind: Type) -> None:
    """Weights -> type -> F32 gives the blocks' weights, close to those that were quantised."""
    weights = np.random.default_rng(1).normal(0, 0.1, (4, DIM)).astype(np.float32)
    blocks = gguf.quants.quantize(weights, kind)
    path = write(tmp_path / "m.gguf", kind)
    data = bytearray(path.read_bytes())
    info = ConvertibleModel.open(path).header.tensors["blk.0.attn_q.weight"]
    data[info.offset : info.offset + blocks.nbytes] = blocks.tobytes()
    path.write_bytes(data)

    made = quantize(ConvertibleModel.open(path), Quantization.F32, tmp_path / "f32.gguf")

    again = dequantized(made, made.header.tensors[info.name])[:4]
    np.testing.assert_array_equal(again, gguf.quants.dequantize(blocks, kind))
    assert np.abs(again - weights).max() < 0.3


@pytest.mark.parametrize("kind", [Type.Q4_0, Type.TQ2_0])
def test_default_of_llama_quantize_is_converted_without_rounding_twice(
    tmp_path: Path, kind: Type
) -> None:
    """Q4_0 or TQ2_0 with a Q6_K embedding: boards do not run it. For its own type only the
    embedding is made anew; the other blocks stay as they are."""
    source = ConvertibleModel.open(write(tmp_path / "m.gguf", kind, embedding=Type.Q6_K))
    assert not isinstance(source, ModelFile)
    assert source.quantization is None

    made = quantized(source, Quantization[kind.name], tmp_path / "cache")

    for name, info in source.header.tensors.items():
        before, after = source.raw_tensor(name), made.raw_tensor(name)
        assert before is not None
        assert after is not None
        if info.ggml_type == kind:
            assert after[1].tobytes() == before[1].tobytes()
        assert made.header.tensors[name].quantization is not None


@pytest.mark.parametrize("norm", [Type.F16, Type.BF16, Type.F64, Type.Q8_0])
def test_norms_of_other_types_become_f32(tmp_path: Path, norm: Type) -> None:
    """Boards read norms as F32; others are converted, the weights of the norms unchanged."""
    source = ConvertibleModel.open(write(tmp_path / "m.gguf", Type.F16, norm=norm))
    with pytest.raises(
        ModelError, match=f"'output_norm.weight' is {norm.name}, and boards read it"
    ):
        source.runnable()

    made = quantize(source, Quantization.F16, tmp_path / "f16.gguf")

    info = made.header.tensors["output_norm.weight"]
    assert info.quantization is Quantization.F32
    np.testing.assert_array_equal(
        dequantized(made, info), dequantized(source, source.header.tensors[info.name])
    )


def test_refusal_names_a_command_that_works(tmp_path: Path) -> None:
    """Opened to be run, a file of other types is refused with a command that works."""
    path = write(tmp_path / "a model.gguf", Type.Q4_K)

    with pytest.raises(ModelError, match=r"'token_embd\.weight' is Q4_K, which no board") as caught:
        catalogue.resolve(path)

    hint = shlex.split((caught.value.hint or "").split("(")[0])
    _, model, to, _, out = hint[hint.index("quantize") - 0 :][:5]
    assert f"-q {to}" in (caught.value.hint or "")
    assert out.endswith(".gguf")
    made = quantize(
        catalogue.resolve_source(model), Quantization(to.upper()), tmp_path / "made.gguf"
    )
    assert made.quantization is Quantization.Q8_0


@pytest.mark.parametrize("kind", [Type.I32, Type.Q8_K, 31, 9999])
def test_types_that_nobody_reads_are_refused_for_good(tmp_path: Path, kind: int) -> None:
    """A type that is neither run nor converted is refused without a hint to convert it."""
    path = write(tmp_path / "m.gguf", Type.F32)
    data = path.read_bytes()
    at = data.index(b"blk.0.attn_q.weight") + len(b"blk.0.attn_q.weight") + 4 + 16
    path.write_bytes(data[:at] + kind.to_bytes(4, "little") + data[at + 4 :])

    with pytest.raises(ModelError, match="nobody here can read") as caught:
        ConvertibleModel.open(path)

    assert "edgeprof" not in (caught.value.hint or "")


@pytest.mark.parametrize("kind", [Type.BF16, Type.F64, Type.Q6_K])
def test_broken_weights_of_types_that_no_board_runs_are_found(tmp_path: Path, kind: Type) -> None:
    """A weight that is no finite number is named when the file is opened, whatever its type."""
    path = write(tmp_path / "m.gguf", kind)
    data = bytearray(path.read_bytes())
    info = ConvertibleModel.open(path).header.tensors["blk.0.attn_v.weight"]
    at = info.offset + info.n_bytes - 2  # the last two bytes: all of BF16, Q6_K's scale, F64's sign
    data[at : at + 2] = b"\xff\x7f"
    path.write_bytes(data)

    with pytest.raises(ModelError, match=r"'blk\.0\.attn_v\.weight' is broken: weight \d+ is nan"):
        ConvertibleModel.open(path)


def test_a_matrix_of_one_row_is_no_norm(tmp_path: Path) -> None:
    """A vocabulary of one token: readers drop the dimension of 1, and it is quantised all the
    same."""
    source = ConvertibleModel.open(
        SyntheticLlama(dim=64, hidden=64, n_layers=1, n_vocab=1).write(tmp_path / "m.gguf")
    )

    made = quantize(source, Quantization.Q8_0, tmp_path / "q.gguf")

    assert made.header.tensors["token_embd.weight"].quantization is Quantization.Q8_0
