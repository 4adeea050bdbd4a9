"""Feed-forward layers padded with zeros, for types whose blocks do not divide the true width.

A padded unit adds exactly nothing: its gate and up rows are zero, so the board multiplies 0 with
0. The width of the embedding cannot be padded: norms would take the mean over the zeros, too.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edgeprof.shared.models.gguf_header import Header
from edgeprof.shared.models.tensor_types import to_float32

#: Our key for the width without padding. llama.cpp ignores keys that it does not know.
KEY: Final = "edgeprof.feed_forward_length"
#: No block is longer, so no padding is.
_MOST = 255


def true_hidden(header: Header, data: bytes, hidden: int) -> int:
    """Return the width without padding: the key's value, if the rows beyond it are zeros."""
    item = header.metadata.get(KEY)
    if item is None or not isinstance(item.value, int) or not 0 < hidden - item.value <= _MOST:
        return hidden
    true = item.value
    if true < 1:
        return hidden
    for info in header.tensors.values():
        if info.name.endswith((".ffn_gate.weight", ".ffn_up.weight")):
            row_bytes = info.n_bytes // info.rows
            n_bytes = (info.rows - true) * row_bytes
            raw = np.frombuffer(data, np.uint8, n_bytes, info.offset + true * row_bytes)
            if to_float32(raw.reshape(-1, row_bytes), info.ggml_type).any():
                return hidden
    return true
