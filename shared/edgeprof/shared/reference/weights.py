"""Weight matrices as the kernels see them: `docs/arithmetic.md`, sections 2 and 4."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from edgeprof.shared.errors import ModelError
from edgeprof.shared.reference.arithmetic import F32, fold, pad_lanes, quantize_activations

F32_TYPE: Final = 0
F16_TYPE: Final = 1
Q4_0_TYPE: Final = 2
Q8_0_TYPE: Final = 8
TQ2_0_TYPE: Final = 35


class Matrix(Protocol):
    """A (rows, n) matrix that multiplies vectors the way the board does."""

    def matvec(self, x: F32) -> F32:
        """Multiply each row of `x`, (positions, n) -> (positions, rows)."""
        ...

    def rows(self, indices: npt.NDArray[np.int64]) -> F32:
        """Return those rows as float32 (the embedding look-up): (len(indices), n)."""
        ...


class FloatMatrix:
    """F32 or F16 weights: eight strided partial sums (section 2)."""

    def __init__(self, weights: F32) -> None:
        self._weights = weights
        self._blocks = np.ascontiguousarray(pad_lanes(np.ascontiguousarray(weights.T)))

    def matvec(self, x: F32) -> F32:
        columns = pad_lanes(np.ascontiguousarray(x.T))
        lanes = np.zeros((8, x.shape[0], self._blocks.shape[2]), np.float32)
        for column, block in zip(columns, self._blocks, strict=True):
            lanes += column[:, :, None] * block[:, None, :]
        return fold(lanes)

    def rows(self, indices: npt.NDArray[np.int64]) -> F32:
        chosen: F32 = self._weights[indices]
        return chosen


class BlockMatrix:
    """Quantised weights: exact integer block sums, then scales in block order (section 4).

    `integers` is (rows, n / block, block) and `scales` (rows, n / block). The integers are float32:
    every block sum is below 2^24, so a float matrix product of them is exact in any order.
    """

    def __init__(self, integers: F32, scales: F32) -> None:
        self._integers = integers
        self._scales = scales
        self._by_block = np.ascontiguousarray(integers.transpose(1, 2, 0))
        self._scales_by_block = np.ascontiguousarray(scales.T)

    def matvec(self, x: F32) -> F32:
        quantized, x_scales = quantize_activations(x, self._integers.shape[2])
        sums = quantized @ self._by_block
        total = np.zeros(sums.shape[1:], np.float32)
        for weight_scale, x_scale, block in zip(self._scales_by_block, x_scales, sums, strict=True):
            total += (weight_scale[None, :] * x_scale[:, None]) * block
        return total

    def rows(self, indices: npt.NDArray[np.int64]) -> F32:
        scaled = self._scales[indices][:, :, None] * self._integers[indices]
        return scaled.reshape(len(indices), -1)


def load_matrix(raw: npt.NDArray[np.uint8], ggml_type: int, rows: int, n: int) -> Matrix:
    """Read a (rows, n) matrix from a GGUF tensor's bytes. Raises ModelError for other types."""
    if ggml_type == F32_TYPE:
        return FloatMatrix(raw.view("<f4").reshape(rows, n))
    if ggml_type == F16_TYPE:
        return FloatMatrix(raw.view("<f2").astype(np.float32).reshape(rows, n))
    if ggml_type == Q8_0_TYPE:
        blocks = raw.reshape(rows, n // 32, 34)
        return BlockMatrix(
            blocks[:, :, 2:].view(np.int8).astype(np.float32), _scales(blocks[:, :, :2])
        )
    if ggml_type == Q4_0_TYPE:
        blocks = raw.reshape(rows, n // 32, 18)
        nibbles = np.concatenate([blocks[:, :, 2:] & 15, blocks[:, :, 2:] >> 4], axis=2)
        return BlockMatrix(nibbles.astype(np.float32) - np.float32(8), _scales(blocks[:, :, :2]))
    if ggml_type == TQ2_0_TYPE:
        blocks = raw.reshape(rows, n // 256, 66)
        halves = blocks[:, :, :64].reshape(rows, n // 256, 2, 1, 32)
        shifts = np.arange(0, 8, 2, dtype=np.uint8).reshape(4, 1)
        trits = (halves >> shifts & 3).reshape(rows, n // 256, 256)
        return BlockMatrix(trits.astype(np.float32) - np.float32(1), _scales(blocks[:, :, 64:]))
    raise ModelError(f"tensor type {ggml_type} has no kernel on any board", code="tensor_type")


def _scales(two_bytes: npt.NDArray[np.uint8]) -> F32:
    return np.ascontiguousarray(two_bytes).view("<f2").astype(np.float32)[:, :, 0]
