"""Other weight types of a model, made with ggml's own numpy quantisers (byte-identical to llama.cpp's C)."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from edgeprof.shared import private
from edgeprof.shared.errors import HostFault, ModelError
from edgeprof.shared.jobs import Quantization
from edgeprof.shared.models.file import ModelFile, is_linear
from edgeprof.shared.models.gguf_header import TENSOR_TYPES, Scalar, TensorInfo
from edgeprof.shared.models.writing import write_gguf

_FILE_TYPES = {
    Quantization.F32: gguf.LlamaFileType.ALL_F32,
    Quantization.F16: gguf.LlamaFileType.MOSTLY_F16,
    Quantization.Q8_0: gguf.LlamaFileType.MOSTLY_Q8_0,
    Quantization.Q4_0: gguf.LlamaFileType.MOSTLY_Q4_0,
    Quantization.TQ2_0: gguf.LlamaFileType.MOSTLY_TQ2_0,
}
_BLOCK = {quantization: block for quantization, block, _ in TENSOR_TYPES.values()}


def quantized(model: ModelFile, to: Quantization, cache_dir: Path) -> ModelFile:
    """Return `model` with weights of type `to`, made once and kept under its own content's name."""
    if model.quantization is to:
        return model
    path = cache_dir / f"{model.sha256[:16]}-{to}.gguf"
    if not path.is_file():
        try:
            private.make_folder(cache_dir)
        except OSError as error:
            raise HostFault(
                f"cannot keep models in {cache_dir}: {error.strerror}",
                code="unwritable",
                hint="set EDGEPROF_CACHE_DIR to a folder you may write",
            ) from None
        quantize(model, to, path)
        private.tighten(path)
    return ModelFile.open(path)


def quantize(model: ModelFile, to: Quantization, out: Path) -> ModelFile:
    """Write `model` with weights of type `to`; the same input gives the same bytes.

    All matrices become `to`, except that TQ2_0 keeps the embedding and the output head in F16: two bits there
    cost more than they save. Norms stay F32. Raises ModelError when a row does not divide into blocks.
    """
    plan = {info.name: _target(info, to) for info in model.header.tensors.values()}
    return write_gguf(out, lambda writer: _fill(writer, model, plan, to))


def dequantized(
    model: ModelFile, info: TensorInfo
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return a tensor's weights as float32, shape (rows, ne[0])."""
    tensor = model.raw_tensor(info.name)
    assert tensor is not None
    ggml_type, raw = tensor
    rows = raw.reshape(info.rows, -1)
    values = gguf.quants.dequantize(rows, gguf.GGMLQuantizationType(ggml_type))
    return np.asarray(values, np.float32).reshape(info.rows, info.ne[0])


def _target(info: TensorInfo, to: Quantization) -> Quantization:
    if len(info.ne) == 1:
        return Quantization.F32
    target = Quantization.F16 if to is Quantization.TQ2_0 and not is_linear(info) else to
    if info.ne[0] % _BLOCK[target]:
        raise ModelError(
            f"{to} does not apply: rows of {info.name!r} have {info.ne[0]} weights,"
            f" not a multiple of {_BLOCK[target]}",
            code="block_size",
            hint="types without blocks always apply: F32, F16",
        )
    return target


def _fill(
    writer: gguf.GGUFWriter, model: ModelFile, plan: dict[str, Quantization], to: Quantization
) -> None:
    for key, item in model.header.metadata.items():
        if key in {"general.architecture", "general.file_type", "general.alignment"}:
            continue
        if item.value == []:
            continue  # the writer refuses an empty array, which says nothing anyway
        kind = gguf.GGUFValueType(item.type)
        sub = None if item.element_type is None else gguf.GGUFValueType(item.element_type)
        writer.add_key_value(key, _packable(item.value), kind, sub)
    writer.add_file_type(_FILE_TYPES[to])
    for info in model.header.tensors.values():
        target = gguf.GGMLQuantizationType[plan[info.name]]
        data = gguf.quants.quantize(dequantized(model, info), target)
        if len(info.ne) == 1:
            data = data.reshape(info.ne[0])
        writer.add_tensor(info.name, data, raw_dtype=target)


def _packable(value: Scalar | list[Scalar]) -> object:
    """Return strings as the bytes they were: token pieces need not be UTF-8."""
    if isinstance(value, list):
        return [_packable(item) for item in value]
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
