"""Finds weights that are not finite numbers, before anything computes with them.

A board would run such a model without an error, and its output would look like a fault of the
board.
"""

from __future__ import annotations

from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models.gguf_header import Header, TensorInfo
from edgeprof.shared.models.tensor_types import BLOCK, TENSOR_TYPES, to_float32
from edgeprof.shared.types.model import Quantization

#: Where in a block its F16 scale is.
_SCALE_AT = {Quantization.Q8_0: 0, Quantization.Q4_0: 0, Quantization.TQ2_0: 64}
_F32_EXPONENT = 0x7F800000
_F16_EXPONENT = 0x7C00
#: Weights that are checked together, so that temporaries fit in the processor's cache.
_CHUNK = 1 << 18


def check_weights(header: Header, data: bytes) -> None:
    """Raise ModelError for the first tensor in the file with a weight that is not finite."""
    for info in sorted(header.tensors.values(), key=lambda tensor: tensor.offset):
        raw = np.frombuffer(data, np.uint8, info.n_bytes, info.offset)
        if info.quantization is None:
            _check_readable(info, raw)
            continue
        bad = first_bad(raw, info.quantization)
        if bad is None:
            continue
        block = BLOCK[info.quantization]
        value, index = _value_at(raw, info.quantization, bad), bad * block
        what = (
            f"weight {index} is {value}"
            if block == 1
            else (f"the scale of weights {index} to {index + block - 1} is {value}")
        )
        raise _not_finite(info.name, what)


def _check_readable(info: TensorInfo, raw: npt.NDArray[np.uint8]) -> None:
    """Check a tensor that no board has a kernel for, by its weights, some rows at a time."""
    if info.ggml_type == gguf.GGMLQuantizationType.F64:
        narrowed(info.name, raw.view("<f8"))
        return
    rows = raw.reshape(info.rows, -1)
    step = max(1, _CHUNK // info.ne[0])
    for start in range(0, info.rows, step):
        values = to_float32(rows[start : start + step], info.ggml_type)
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            index = start * info.ne[0] + int(bad[0])
            raise _not_finite(info.name, f"weight {index} is {values.reshape(-1)[bad[0]]}")


def check_values(name: str, values: npt.NDArray[np.float32]) -> None:
    """Raise ModelError when the weights of a tensor that is to be written are not all finite."""
    bad = first_bad(np.ascontiguousarray(values).view(np.uint8).reshape(-1), Quantization.F32)
    if bad is not None:
        raise _not_finite(name, f"weight {bad} is {values.reshape(-1)[bad]}")


def narrowed(name: str, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Return weights as float32. Raises ModelError where one is not finite, or too large for it."""
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32, copy=False)
    try:
        check_values(name, narrow)
    except ModelError:
        if not np.isfinite(values).all():
            raise
        at = int(np.isinf(narrow).argmax())
        raise ModelError(
            f"tensor {name!r} is too large: weight {at} is {values.reshape(-1)[at]:g},"
            " more than F32 holds",
            code="overflow",
        ) from None
    return narrow


def first_bad(raw: npt.NDArray[np.uint8], quantization: Quantization) -> int | None:
    """Return the first weight that is not finite, or in a type with blocks the first such block."""
    if quantization is Quantization.F32:
        return _first(raw.view("<u4"), _F32_EXPONENT)
    return _first(_halves(raw, quantization), _F16_EXPONENT)


def _halves(raw: npt.NDArray[np.uint8], quantization: Quantization) -> npt.NDArray[np.uint16]:
    """Return the F16 numbers of a tensor, as their bits."""
    if quantization is Quantization.F16:
        return raw.view("<u2")
    at = _SCALE_AT[quantization]
    block_bytes = next(n for kind, _, n in TENSOR_TYPES.values() if kind is quantization)
    scales = raw.reshape(-1, block_bytes)[:, at : at + 2]
    return np.ascontiguousarray(scales).view("<u2").reshape(-1)


def _first(bits: npt.NDArray[np.unsignedinteger[Any]], exponent: int) -> int | None:
    """Return the first infinity or NaN: in those all bits of the exponent are set."""
    for start in range(0, len(bits), _CHUNK):
        bad = bits[start : start + _CHUNK] & exponent == exponent
        if bad.any():
            return start + int(bad.argmax())
    return None


def _value_at(raw: npt.NDArray[np.uint8], quantization: Quantization, at: int) -> float:
    if quantization is Quantization.F32:
        return float(raw.view("<f4")[at])
    return float(_halves(raw, quantization)[at : at + 1].view("<f2")[0])


def _not_finite(name: str, what: str) -> ModelError:
    return ModelError(
        f"tensor {name!r} is broken: {what}, not a finite number",
        code="not_finite",
        hint="the training or the conversion of this model went wrong: make it again",
    )
