"""Other weight types of a model, made with ggml's own numpy quantisers (byte-identical to llama.cpp's C)."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import gguf
import numpy as np
import numpy.typing as npt

from edgeprof.shared import private
from edgeprof.shared.errors import HostFault, ModelError
from edgeprof.shared.jobs import Quantization
from edgeprof.shared.models.file import ModelFile, is_linear
from edgeprof.shared.models.finite import check_values, first_bad
from edgeprof.shared.models.gguf_header import TENSOR_TYPES, Scalar, TensorInfo
from edgeprof.shared.models.source import KEYS as SOURCE_KEYS
from edgeprof.shared.models.source import write_source
from edgeprof.shared.models.writing import write_gguf

_FILE_TYPES = {
    Quantization.F32: gguf.LlamaFileType.ALL_F32,
    Quantization.F16: gguf.LlamaFileType.MOSTLY_F16,
    Quantization.Q8_0: gguf.LlamaFileType.MOSTLY_Q8_0,
    Quantization.Q4_0: gguf.LlamaFileType.MOSTLY_Q4_0,
    Quantization.TQ2_0: gguf.LlamaFileType.MOSTLY_TQ2_0,
}
#: What decides, beside the model and the type, which bytes come out.
_MAKER = f"gguf{version('gguf')}-{version('tiny-llm-edge-profiler')}"
#: Weights from here on are infinite: as an F16 number themselves, or as the scale of their block.
_LARGEST = {
    Quantization.F16: 65520.0,
    Quantization.Q8_0: 127 * 65520.0,
    Quantization.Q4_0: 8 * 65520.0,
    Quantization.TQ2_0: 65520.0,
}
_BLOCK = {quantization: block for quantization, block, _ in TENSOR_TYPES.values()}


def quantized(model: ModelFile, to: Quantization, cache_dir: Path) -> ModelFile:
    """Return `model` with weights of type `to`, made once and kept.

    What is kept is called by the content it was made of, by its maker and by its own content: an entry that
    is damaged, cut off or of another version is made anew.
    """
    if model.quantization is to:
        return model
    made_of = f"{model.sha256[:32]}-{to}-{_MAKER}"
    return _kept(cache_dir, made_of, model.name) or _keep(model, to, cache_dir, made_of)


def _kept(cache_dir: Path, made_of: str, name: str) -> ModelFile | None:
    for path in sorted(cache_dir.glob(f"{made_of}-*.gguf")):
        with contextlib.suppress(ModelError):
            found = ModelFile.open(path)
            if path.stem.endswith(f"-{found.sha256}"):
                return replace(found, name=name)
    return None


def _keep(model: ModelFile, to: Quantization, cache_dir: Path, made_of: str) -> ModelFile:
    try:
        private.make_folder(cache_dir)
        # Under a name of its own until its content is known; other processes may make the same.
        with TemporaryDirectory(prefix=".making-", dir=cache_dir) as folder:
            made = quantize(model, to, Path(folder) / "made.gguf")
            private.tighten(made.path)
            path = cache_dir / f"{made_of}-{made.sha256}.gguf"
            if path.is_dir():  # nothing replaces a folder
                path = cache_dir / f"{made_of}-again-{made.sha256}.gguf"
            made.path.replace(path)
    except OSError as error:
        raise HostFault(
            f"cannot keep models in {cache_dir}: {error.strerror}",
            code="unwritable",
            hint="set EDGEPROF_CACHE_DIR to a folder you may write",
        ) from None
    return replace(made, path=path, name=model.name)


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
        if key in {"general.architecture", "general.file_type", "general.alignment", *SOURCE_KEYS}:
            continue
        if item.value == []:
            continue  # the writer refuses an empty array, which says nothing anyway
        kind = gguf.GGUFValueType(item.type)
        sub = None if item.element_type is None else gguf.GGUFValueType(item.element_type)
        writer.add_key_value(key, _packable(item.value), kind, sub)
    writer.add_file_type(_FILE_TYPES[to])
    write_source(writer, model.source.converted(to))
    for info in model.header.tensors.values():
        target = gguf.GGMLQuantizationType[plan[info.name]]
        values = dequantized(model, info)
        check_values(info.name, values)
        with np.errstate(over="ignore", invalid="ignore"):  # found by its result
            data = gguf.quants.quantize(values, target)
        _check_held(model, info, values, data, plan[info.name])
        if len(info.ne) == 1:
            data = data.reshape(info.ne[0])
        writer.add_tensor(info.name, data, raw_dtype=target)


def _check_held(
    model: ModelFile,
    info: TensorInfo,
    values: npt.NDArray[np.float32],
    made: npt.NDArray[np.generic],
    target: Quantization,
) -> None:
    """Raise ModelError when a finite weight, or the scale of its block, became infinite."""
    bad = first_bad(np.ascontiguousarray(made).view(np.uint8).reshape(-1), target)
    if bad is None:
        return
    size = _BLOCK[target]
    block = values.reshape(-1)[bad * size : (bad + 1) * size]
    index = bad * size + int(np.abs(block).argmax())
    raise ModelError(
        f"{target} cannot hold tensor {info.name!r}: weight {index} is {values.reshape(-1)[index]:g},"
        f" and becomes infinite above {_LARGEST[target]:g}",
        code="overflow",
        hint=f"types that hold this model: {', '.join(_holding(model))}",
    )


def _holding(model: ModelFile) -> list[Quantization]:
    """Return the types that hold every weight of a model, and whose blocks its rows divide into."""
    types = []
    for to in Quantization:
        try:
            plan = [(info, _target(info, to)) for info in model.header.tensors.values()]
        except ModelError:
            continue
        if all(
            target is Quantization.F32 or np.abs(dequantized(model, info)).max() < _LARGEST[target]
            for info, target in plan
        ):
            types.append(to)
    return types


def _packable(value: Scalar | list[Scalar]) -> object:
    """Return strings as the bytes they were: token pieces need not be UTF-8."""
    if isinstance(value, list):
        return [_packable(item) for item in value]
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
