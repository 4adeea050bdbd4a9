"""ggml's tensor types: which of them boards run, and which we can convert from."""

from __future__ import annotations

from functools import cache
from typing import Final

import gguf
import numpy as np
import numpy.typing as npt

from edgeprof.shared.types.model import Quantization

#: Types that boards have kernels for: ggml type
#: id -> (type, elements in a block, bytes of a block).
TENSOR_TYPES: Final = {
    0: (Quantization.F32, 1, 4),
    1: (Quantization.F16, 1, 2),
    2: (Quantization.Q4_0, 32, 18),
    8: (Quantization.Q8_0, 32, 34),
    35: (Quantization.TQ2_0, 256, 66),
}
#: Elements in a block of each.
BLOCK: Final = {quantization: block for quantization, block, _ in TENSOR_TYPES.values()}
#: Bytes of a block of each.
BLOCK_BYTES: Final = {quantization: size for quantization, _, size in TENSOR_TYPES.values()}


def head_beside(kind: Quantization) -> Quantization:
    """Return the type of embedding and head beside layers of a type, if none is asked for.

    Two bits there cost more than they save.
    """
    return Quantization.Q8_0 if kind is Quantization.TQ2_0 else kind


F32 = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


@cache
def layout(ggml_type: int) -> tuple[int, int] | None:
    """Return (elements in a block, bytes of a block), or None for a type that we cannot read.

    The gguf package has no list of what it dequantizes, so one block of zeros is tried.
    """
    try:
        block, n_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(ggml_type)]
        to_float32(np.zeros((1, n_bytes), np.uint8), ggml_type)
    except (ValueError, KeyError, NotImplementedError):
        return None
    return block, n_bytes


def type_name(ggml_type: int) -> str:
    """Return ggml's name of a type, or its number where ours is an older ggml."""
    try:
        return gguf.GGMLQuantizationType(ggml_type).name
    except ValueError:
        return str(ggml_type)


def to_float32(rows: npt.NDArray[np.uint8], ggml_type: int) -> F32:
    """Return rows of bytes as rows of weights; a double too large for a float becomes infinite."""
    kind = gguf.GGMLQuantizationType(ggml_type)
    with np.errstate(over="ignore", invalid="ignore"):
        if kind is gguf.GGMLQuantizationType.F64:
            return rows.view("<f8").astype(np.float32)
        return np.asarray(gguf.quants.dequantize(rows, kind), np.float32)
