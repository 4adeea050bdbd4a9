"""Weights that are no finite numbers: found when a file is opened, made or imported, by tensor,
index and value."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models import ModelFile
from edgeprof.shared.models.finite import check_values, check_weights
from edgeprof.shared.models.gguf_header import Header, TensorInfo
from edgeprof.shared.models.quantize import quantize
from edgeprof.shared.models.writing import write_gguf
from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.types.model import Quantization

NAME = "blk.0.ffn_up.weight"
#: Where in a block its F16 scale is.
SCALE_AT = {Type.Q8_0: 0, Type.Q4_0: 0, Type.TQ2_0: 64}
BLOCK_BYTES = {Type.Q8_0: 34, Type.Q4_0: 18, Type.TQ2_0: 66}


def shape(kind: Type) -> SyntheticLlama:
    """A small model whose rows divide into blocks of every type."""
    return SyntheticLlama(dim=256, hidden=256, n_layers=1, n_vocab=8, matrix_type=kind)


def overwritten(path: Path, name: str, at: int, value: bytes) -> Path:
    """Overwrite bytes of a tensor in a file."""
    info = ModelFile.open(path).header.tensors[name]
    data = bytearray(path.read_bytes())
    data[info.offset + at : info.offset + at + len(value)] = value
    path.write_bytes(data)
    return path


def scaled(path: Path, name: str, factor: float) -> ModelFile:
    """Multiply a tensor of an F32 file."""
    info = ModelFile.open(path).header.tensors[name]
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    weights = data[info.offset : info.offset + info.n_bytes].view("<f4")
    weights *= np.float32(factor)
    path.write_bytes(data.tobytes())
    return ModelFile.open(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    ("kind", "code", "at", "says"),
    [
        (Type.F32, "<f", 4 * 777, "weight 777 is {}"),
        (Type.F16, "<e", 2 * 777, "weight 777 is {}"),
        (Type.Q8_0, "<e", 34 * 24, "the scale of weights 768 to 799 is {}"),
        (Type.Q4_0, "<e", 18 * 24, "the scale of weights 768 to 799 is {}"),
        (Type.TQ2_0, "<e", 66 * 3 + 64, "the scale of weights 768 to 1023 is {}"),
    ],
)
def test_opening_finds_it(
    tmp_path: Path, kind: Type, code: str, at: int, says: str, value: float
) -> None:
    """Opening a model finds a number that is not finite, in every type, and names tensor, index and
    value."""
    path = shape(kind).write(tmp_path / "m.gguf")
    overwritten(path, NAME, at, struct.pack(code, value))

    with pytest.raises(ModelError) as refused:
        ModelFile.open(path)

    assert refused.value.code == "not_finite"
    assert str(path) in str(refused.value)
    assert f"tensor '{NAME}' is broken: {says.format(value)}, not a finite" in str(refused.value)


@pytest.mark.parametrize("name", ["blk.0.attn_norm.weight", "output_norm.weight"])
@pytest.mark.parametrize("kind", [Type.F32, Type.Q8_0])
def test_norms_are_looked_at_too(tmp_path: Path, kind: Type, name: str) -> None:
    """A norm is F32 in a file of any type."""
    path = shape(kind).write(tmp_path / "m.gguf")

    with pytest.raises(ModelError, match=rf"'{name}' is broken: weight 255 is nan"):
        ModelFile.open(overwritten(path, name, 4 * 255, struct.pack("<f", float("nan"))))


def test_the_first_of_many_is_named(tmp_path: Path) -> None:
    """First in the file, and first in its tensor; the largest finite numbers are well."""
    path = shape(Type.F32).write(tmp_path / "m.gguf")
    overwritten(path, NAME, 0, struct.pack("<2f", 3.4028234e38, -1e-45))
    ModelFile.open(path)
    data = bytearray(path.read_bytes())
    info = ModelFile.open(path).header.tensors[NAME]
    for index in (9, 5, 60000):
        struct.pack_into("<f", data, info.offset + 4 * index, float("inf"))
    struct.pack_into("<f", data, len(data) - 64, float("nan"))
    path.write_bytes(data)

    with pytest.raises(ModelError, match=rf"'{NAME}' is broken: weight 5 is inf"):
        ModelFile.open(path)


@pytest.mark.parametrize(
    ("to", "factor", "held"),
    [
        (Quantization.F16, 1e6, "F32, Q8_0, Q4_0"),
        (Quantization.TQ2_0, 1e6, "F32, Q8_0, Q4_0"),
        (Quantization.Q4_0, 1e7, "F32, Q8_0"),
        (Quantization.Q8_0, 1e9, "F32"),
    ],
)
def test_quantizer_refuses_what_becomes_infinite(
    tmp_path: Path, to: Quantization, factor: float, held: str
) -> None:
    """Tensor, index and size of the weight are said, and the types that hold it; those do run."""
    source = scaled(shape(Type.F32).write(tmp_path / "m.gguf"), NAME, factor)

    with pytest.raises(ModelError) as refused:
        quantize(source, to, tmp_path / "q.gguf")

    assert refused.value.code == "overflow"
    assert f"{to} cannot hold tensor '{NAME}': weight " in str(refused.value)
    assert f"types that hold this model: {held}" == refused.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]
    for name in held.split(", "):
        made = quantize(source, Quantization(name), tmp_path / f"{name}.gguf")
        assert made.quantization is Quantization(name)


def test_the_largest_weight_that_fits(tmp_path: Path) -> None:
    """65519 rounds to the largest F16, 65520 to infinity: told apart, with the weight's index."""
    path = shape(Type.F32).write(tmp_path / "m.gguf")
    quantize(
        ModelFile.open(overwritten(path, NAME, 4 * 7, struct.pack("<f", 65519))),
        Quantization.F16,
        tmp_path / "q.gguf",
    )

    with pytest.raises(ModelError, match=r"weight 7 is -65520, and becomes infinite"):
        quantize(
            ModelFile.open(overwritten(path, NAME, 4 * 7, struct.pack("<f", -65520))),
            Quantization.F16,
            tmp_path / "q.gguf",
        )


def test_what_is_written_is_looked_at(tmp_path: Path) -> None:
    """An import that would write NaN leaves nothing, and names the file that it was to be."""

    def fill(writer: gguf.GGUFWriter) -> None:
        source = gguf.GGUFReader(shape(Type.F32).write(tmp_path / "source.gguf"))
        for item in source.fields.values():
            if item.name.startswith("llama."):
                writer.add_key_value(item.name, item.contents(), item.types[0])
        for tensor in source.tensors:
            weights = np.array(tensor.data)
            if tensor.name == NAME:
                weights[0, 3] = np.nan
            writer.add_tensor(tensor.name, weights)

    out = tmp_path / "out.gguf"
    with pytest.raises(ModelError, match=rf"^{out}: tensor '{NAME}' is broken: weight 3 is nan"):
        write_gguf(out, fill, sources=())

    assert not out.exists()


def test_values_on_the_way_are_looked_at() -> None:
    """Weights in memory are checked by the same rule as those in a file."""
    values = np.ones((4, 8), np.float32)
    check_values("w", values)
    check_values("w", values.T)
    values[2, 1] = np.inf

    with pytest.raises(ModelError, match=r"'w' is broken: weight 17 is inf"):
        check_values("w", values)


@pytest.mark.parametrize(
    ("value", "says", "code"),
    [
        (1e300, "is too large: weight 9 is 1e\\+300, more than F32 holds", "overflow"),
        (float("nan"), "is broken: weight 9 is nan", "not_finite"),
    ],
)
def test_a_double_that_no_float_holds_is_called_so(value: float, says: str, code: str) -> None:
    """A weight that is finite in the file but too large for a float is told with its size, not as
    an infinity."""
    info = TensorInfo("w", Type.F64, None, (16,), 0, 128)
    data = np.ones(16)
    check_weights(Header({}, {"w": info}, 32), data.tobytes())
    data[9] = value

    with pytest.raises(ModelError, match=says) as caught:
        check_weights(Header({}, {"w": info}, 32), data.tobytes())

    assert caught.value.code == code


def test_it_costs_little() -> None:
    """60 MB are looked at in well under a second."""
    n = 15_000_000
    info = TensorInfo("w", 0, Quantization.F32, (n,), 0, 4 * n)
    data = np.ones(n, np.float32).tobytes()
    started_s = time.process_time()

    check_weights(Header({}, {"w": info}, 32), data)

    assert time.process_time() - started_s < 0.5
