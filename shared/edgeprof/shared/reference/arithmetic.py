"""The board's arithmetic in numpy, bit for bit (`docs/arithmetic.md`, as in `firmware/core`).

Everything is float32, one rounding per operation, in the written order. Arrays are processed in
bulk where elements do not depend on each other; a sum over an axis is always spelled out, because
numpy's own reductions choose their order.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]

LANES: Final = 8
_ROUND_MAGIC: Final = np.float32(12582912.0)  # 1.5 * 2^23: adding it rounds to nearest even
_SMALLEST: Final = np.float32(2.0**-100)


def _f(value: float) -> np.float32:
    return np.float32(value)


def fold(lanes: F32) -> F32:
    """Add the eight partial sums along the first axis in the fixed tree (section 2)."""
    s0, s1, s2, s3, s4, s5, s6, s7 = lanes
    total: F32 = ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))
    return total


def pad_lanes(a: F32) -> F32:
    """Pad the first axis to a multiple of 8 with zeros, split: (n, ...) -> (n / 8, 8, ...)."""
    short = -a.shape[0] % LANES
    if short:
        a = np.concatenate([a, np.zeros((short, *a.shape[1:]), np.float32)])
    return a.reshape(-1, LANES, *a.shape[1:])


def ordered_sum(terms: F32) -> F32:
    """Sum over the first axis in the canonical order (section 2): (n, ...) -> (...)."""
    blocks = pad_lanes(terms)
    lanes = np.zeros(blocks.shape[1:], np.float32)
    for block in blocks:
        lanes += block
    return fold(lanes)


def sequential_sum(terms: F32) -> F32:
    """Sum over the first axis from first to last, starting at zero: (n, ...) -> (...)."""
    total: F32 = np.add.accumulate(terms, axis=0)[-1]
    return total + _f(0.0)


def exp(x: F32) -> F32:
    """e^x by section 3.1: 0 below -87, e^88 above 88."""
    c = np.maximum(np.minimum(x, _f(88.0)), _f(-87.0))
    shifted = c * _f(1.44269504088896341) + _ROUND_MAGIC
    n = shifted - _ROUND_MAGIC
    r = (c - n * _f(0.693359375)) - n * _f(-2.12194440e-4)
    p = _f(1.9875691500e-4) * r + _f(1.3981999507e-3)
    for coefficient in (8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        p = p * r + _f(coefficient)
    e = ((p * (r * r)) + r) + _f(1.0)
    scaled = (e.view(np.uint32) + (shifted.view(np.uint32) << np.uint32(23))).view(np.float32)
    return np.where(x < _f(-87.0), _f(0.0), scaled)


def log(x: F32) -> F32:
    """Natural log of positive, normal x by section 3.2."""
    u = x.view(np.uint32) - np.uint32(0x3F3504F3)
    n = (u.view(np.int32) >> 23).astype(np.float32)
    m = ((u & np.uint32(0x007FFFFF)) + np.uint32(0x3F3504F3)).view(np.float32)
    f = m - _f(1.0)
    z = f * f
    p = _f(7.0376836292e-2) * f + _f(-1.1514610310e-1)
    for coefficient in (
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    ):
        p = p * f + _f(coefficient)
    y = (p * f) * z
    y = y + n * _f(-2.12194440e-4)
    y = y - _f(0.5) * z
    result: F32 = (f + y) + n * _f(0.693359375)
    return result


def sin_cos(x: F32) -> tuple[F32, F32]:
    """Sine and cosine of 0 <= x < 8192 by section 3.3."""
    shifted = x * _f(0.636619772367581343) + _ROUND_MAGIC
    k = shifted - _ROUND_MAGIC
    r = ((x - k * _f(1.5703125)) - k * _f(4.837512969970703125e-4)) - k * _f(7.54978995489188216e-8)
    z = r * r
    s = _f(-1.9515295891e-4) * z + _f(8.3321608736e-3)
    s = s * z + _f(-1.6666654611e-1)
    s = (s * z) * r + r
    c = _f(2.443315711809948e-5) * z + _f(-1.388731625493765e-3)
    c = c * z + _f(4.166664568298827e-2)
    c = ((c * z) * z - _f(0.5) * z) + _f(1.0)
    quadrant = shifted.view(np.uint32) & np.uint32(3)
    odd = (quadrant & np.uint32(1)).astype(bool)
    a, b = np.where(odd, c, s), np.where(odd, s, c)
    sin = np.where(quadrant & np.uint32(2), -a, a)
    cos = np.where((quadrant + np.uint32(1)) & np.uint32(2), -b, b)
    return sin, cos


def quantize_activations(x: F32, block: int) -> tuple[F32, F32]:
    """Quantise rows to -127..127 in blocks by section 4.

    `x` is (positions, n). Returns the integers as exact floats, (n / block, positions, block),
    ready for an exact matrix product, and the scales, (n / block, positions).
    """
    blocks = x.reshape(x.shape[0], -1, block).swapaxes(0, 1)
    amax = np.abs(blocks).max(axis=2)
    tiny = amax < _SMALLEST
    safe = np.where(tiny, _f(1.0), amax)
    inverse = np.where(tiny, _f(0.0), _f(127.0) / safe)
    scale = np.where(tiny, _f(0.0), safe / _f(127.0))
    return np.rint(blocks * inverse[:, :, None]), scale


def log_softmax(logits: F32, targets: npt.NDArray[np.int64]) -> F32:
    """Natural log of softmax(logits)[target] by section 6: (positions, n_vocab) -> (positions)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    total = ordered_sum(exp(shifted).T)
    chosen: F32 = shifted[np.arange(len(targets)), targets]
    return chosen - log(total)
