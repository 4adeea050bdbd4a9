"""Converts models to other weight types with ggml's numpy quantisers: llama.cpp's bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import gguf
import numpy as np
import numpy.typing as npt

from edgeprof.shared import private_files
from edgeprof.shared.errors import HostFault, ModelError
from edgeprof.shared.models import padding
from edgeprof.shared.models.file import ConvertibleModel, ModelFile, is_linear, is_norm
from edgeprof.shared.models.finite import check_values, first_bad
from edgeprof.shared.models.gguf_header import TensorInfo
from edgeprof.shared.models.gguf_values import Scalar
from edgeprof.shared.models.source import KEYS as SOURCE_KEYS
from edgeprof.shared.models.source import write_source
from edgeprof.shared.models.tensor_types import BLOCK, F32, head_beside, to_float32
from edgeprof.shared.models.writing import write_gguf
from edgeprof.shared.own_version import own_version
from edgeprof.shared.types.model import Quantization

_FILE_TYPES = {
    Quantization.F32: gguf.LlamaFileType.ALL_F32,
    Quantization.F16: gguf.LlamaFileType.MOSTLY_F16,
    Quantization.Q8_0: gguf.LlamaFileType.MOSTLY_Q8_0,
    Quantization.Q4_0: gguf.LlamaFileType.MOSTLY_Q4_0,
    Quantization.TQ2_0: gguf.LlamaFileType.MOSTLY_TQ2_0,
}
#: Decides, beside the model and the type, which bytes are made.
_MAKER = f"gguf{version('gguf')}-{own_version()}"
_HIDDEN_KEY = "llama.feed_forward_length"
#: Weights from here on are infinite as F16 numbers, or make the scale of their block infinite.
_LARGEST = {
    Quantization.F16: 65520.0,
    Quantization.Q8_0: 127 * 65520.0,
    Quantization.Q4_0: 8 * 65520.0,
    Quantization.TQ2_0: 65520.0,
}
_HEAD = "-head-"
#: Types of blocks: to quantise them again would round a second time.
_QUANTIZED = frozenset(to for to, block in BLOCK.items() if block > 1)

#: Called after each tensor with: weights done, weights in all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class _Plan:
    """The new type of each tensor, and the new width of the feed-forward layers."""

    to: Quantization
    types: dict[str, Quantization]
    hidden: int


def quantized(
    model: ConvertibleModel, to: Quantization, cache_dir: Path, head: Quantization | None = None
) -> ModelFile:
    """Return `model` with weights of type `to`, made once and kept; `head` is as in quantize().

    A model with a head of its own has the head in its name, since its type does not tell.
    A kept file is named by the content it was made of, by its maker and by its own content, so one
    that is damaged, cut off or of another version is made anew.
    """
    if head is None and isinstance(model, ModelFile) and model.quantization is to:
        return model
    of = str(to) if head is None else f"{to}-head-{head}"
    made_of = f"{model.sha256[:32]}-{of}-{_MAKER}"
    found = _kept(cache_dir, made_of, model.name)
    found = found or _keep(model, to, cache_dir, made_of, head)
    return found if head is None else replace(found, name=name_with_head(model.name, head))


def name_with_head(name: str, head: Quantization) -> str:
    """Return the name of a model whose head was given a type."""
    return f"{name[: 64 - len(_HEAD) - len(head)]}{_HEAD}{head}"


def head_in(name: str) -> tuple[str, Quantization | None]:
    """Return the name without its head, and the head; the opposite of name_with_head()."""
    base, found, head = name.rpartition(_HEAD)
    return (base, Quantization(head)) if found and head in set(Quantization) else (name, None)


def _kept(cache_dir: Path, made_of: str, name: str) -> ModelFile | None:
    for path in sorted(cache_dir.glob(f"{made_of}-*.gguf")):
        with contextlib.suppress(ModelError):
            found = ModelFile.open(path)
            if path.stem.endswith(f"-{found.sha256}"):
                return replace(found, name=name)
    return None


def _keep(
    model: ConvertibleModel,
    to: Quantization,
    cache_dir: Path,
    made_of: str,
    head: Quantization | None,
) -> ModelFile:
    try:
        private_files.make_folder(cache_dir)
        # Under a name of its own until its content is known; other processes may make the same.
        with TemporaryDirectory(prefix=".making-", dir=cache_dir) as folder:
            made = quantize(model, to, Path(folder) / "made.gguf", head=head)
            private_files.tighten(made.path)
            path = cache_dir / f"{made_of}-{made.sha256}.gguf"
            if path.is_dir():  # nothing replaces a folder
                path = cache_dir / f"{made_of}-again-{made.sha256}.gguf"
            made.path.replace(path)
    except (OSError, HostFault) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise HostFault(
            f"cannot keep models in {cache_dir}: {why}",
            code="unwritable",
            hint="set EDGEPROF_CACHE_DIR to a folder you may write, with space",
        ) from None
    return replace(made, path=path, name=model.name)


def quantize(
    model: ConvertibleModel,
    to: Quantization,
    out: Path,
    progress: Progress | None = None,
    *,
    head: Quantization | None = None,
) -> ModelFile:
    """Write `model` with weights of type `to`; the same input gives the same bytes.

    All matrices become `to`, except the embedding and the output head, which become `head`. Without
    one that is `to` again, but Q8_0 for TQ2_0: two bits there cost more than they save. Norms
    become F32. Feed-forward layers are padded only where
    blocks need it (padding.py). Raises ModelError when blocks do not divide the embedding's width,
    UsageError when `out` is the model's own file.
    """
    plan = _plan(model, to, head)
    return write_gguf(
        out, lambda writer: _fill(writer, model, plan, progress), sources=(model.path,)
    )


def _plan(model: ConvertibleModel, to: Quantization, head: Quantization | None = None) -> _Plan:
    hidden = -(-model.true_hidden // BLOCK[to]) * BLOCK[to]
    head = head or head_beside(to)
    types = {
        info.name: _target(
            info, to if is_linear(info) else head, hidden if _is_down(info) else info.ne[0]
        )
        for info in model.header.tensors.values()
    }
    return _Plan(to, types, hidden)


def padding_note(model: ConvertibleModel) -> str | None:
    """Return a note on a padded model for the user, or None for one that is not padded."""
    true, hidden = model.true_hidden, model.shape.hidden
    if true == hidden:
        return None
    return (
        f"{model.name} {model.label}: feed-forward width {true} is padded with zeros to {hidden},"
        " whole blocks; it computes the same, and the zeros are not counted as parameters"
    )


def dequantized(model: ConvertibleModel, info: TensorInfo) -> F32:
    """Return a tensor's weights as float32, shape (rows, ne[0])."""
    return to_float32(_raw_rows(model, info), info.ggml_type).reshape(info.rows, info.ne[0])


def _raw_rows(model: ConvertibleModel, info: TensorInfo) -> npt.NDArray[np.uint8]:
    tensor = model.raw_tensor(info.name)
    assert tensor is not None
    return tensor[1].reshape(info.rows, -1)


def _target(info: TensorInfo, to: Quantization, row: int) -> Quantization:
    """Return the type of a tensor whose rows will have `row` weights."""
    if is_norm(info):
        return Quantization.F32
    if row % BLOCK[to]:
        raise ModelError(
            f"{to} does not apply: rows of {info.name!r} have {row} weights,"
            f" not a multiple of {BLOCK[to]}, and the embedding's width cannot be padded",
            code="block_size",
            hint=_that_apply(row),
        )
    return to


def _that_apply(row: int) -> str:
    names = [str(to) for to, block in BLOCK.items() if row % block == 0]
    return f"types that apply: {', '.join(names)}"


def _is_down(info: TensorInfo) -> bool:
    """Whether the feed-forward width is the length of the tensor's rows."""
    return info.name.endswith(".ffn_down.weight")


def _is_gate_or_up(info: TensorInfo) -> bool:
    """Whether the feed-forward width is the number of the tensor's rows."""
    return info.name.endswith((".ffn_gate.weight", ".ffn_up.weight"))


def _fill(
    writer: gguf.GGUFWriter, model: ConvertibleModel, plan: _Plan, progress: Progress | None
) -> None:
    replaced = {"general.architecture", "general.file_type", "general.alignment", padding.KEY}
    replaced |= SOURCE_KEYS
    if plan.hidden != model.shape.hidden:
        replaced.add(_HIDDEN_KEY)
        writer.add_uint32(_HIDDEN_KEY, plan.hidden)
    if plan.hidden != model.true_hidden:
        writer.add_uint32(padding.KEY, model.true_hidden)
    for key, item in model.header.metadata.items():
        if key in replaced:
            continue
        if item.value == []:
            continue  # the writer refuses an empty array, which means nothing
        kind = gguf.GGUFValueType(item.type)
        sub = None if item.element_type is None else gguf.GGUFValueType(item.element_type)
        writer.add_key_value(key, _packable(item.value), kind, sub)
    writer.add_file_type(_FILE_TYPES[plan.to])
    write_source(writer, model.source.converted(plan.to))
    done, total = 0, sum(info.n_elements for info in model.header.tensors.values())
    for info in model.header.tensors.values():
        data = _converted(model, info, plan)
        if len(info.ne) == 1:
            data = data.reshape(-1)
        target = gguf.GGMLQuantizationType[plan.types[info.name]]
        writer.add_tensor(info.name, data, raw_dtype=target)
        done += info.n_elements
        if progress:
            progress(done, total)


def _converted(model: ConvertibleModel, info: TensorInfo, plan: _Plan) -> npt.NDArray[np.generic]:
    """Return a tensor's rows in its new type, wider or narrower by rows or columns of zeros."""
    more = plan.hidden - model.shape.hidden
    kept = plan.hidden if more < 0 else model.shape.hidden
    columns = more if _is_down(info) else 0
    to = plan.types[info.name]
    target = gguf.GGMLQuantizationType[to]
    if info.ggml_type == target and not columns and to in _QUANTIZED:
        data: npt.NDArray[np.generic] = _raw_rows(model, info)
    else:
        values = dequantized(model, info)
        check_values(info.name, values)
        if columns:
            values = np.pad(values[:, :kept], ((0, 0), (0, max(more, 0))))
        with np.errstate(over="ignore", invalid="ignore"):  # found by its result
            data = gguf.quants.quantize(values, target)
        _check_held(model, info, values, data, to)
    if not more or not _is_gate_or_up(info):
        return data
    zeros = gguf.quants.quantize(np.zeros((max(more, 0), info.ne[0]), np.float32), target)
    return np.concatenate([data[:kept], zeros])


def _check_held(
    model: ConvertibleModel,
    info: TensorInfo,
    values: npt.NDArray[np.float32],
    made: npt.NDArray[np.generic],
    target: Quantization,
) -> None:
    """Raise ModelError when a finite weight, or the scale of its block, became infinite."""
    bad = first_bad(np.ascontiguousarray(made).view(np.uint8).reshape(-1), target)
    if bad is None:
        return
    size = BLOCK[target]
    block = values.reshape(-1)[bad * size : (bad + 1) * size]
    at = bad * size + int(np.abs(block).argmax())
    row, column = divmod(at, values.shape[-1])  # which padding makes longer than the tensor's own
    index = row * info.ne[0] + column
    raise ModelError(
        f"{target} cannot hold tensor {info.name!r}: weight {index} is {values.reshape(-1)[at]:g},"
        f" and becomes infinite above {_LARGEST[target]:g}",
        code="overflow",
        hint=f"types that hold this model: {', '.join(_holding(model))}",
    )


def _holding(model: ConvertibleModel) -> list[Quantization]:
    """Return the types that can express every weight and whose blocks divide the rows."""
    types = []
    for to in Quantization:
        try:
            plan = _plan(model, to)
        except ModelError:
            continue
        if all(
            plan.types[info.name] is Quantization.F32
            or np.abs(dequantized(model, info)).max() < _LARGEST[plan.types[info.name]]
            for info in model.header.tensors.values()
        ):
            types.append(to)
    return types


def _packable(value: Scalar | list[Scalar]) -> object:
    """Return strings as the bytes they were: token pieces need not be UTF-8."""
    if isinstance(value, list):
        return [_packable(item) for item in value]
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
