"""The subset of CBOR that payloads are made of, checked before it is decoded.

docs/link-protocol.md, section 2, names the subset. A decoder of all of CBOR does more than its
reader expects: it makes bignums that no float holds, dates, regular expressions, and a million
items out of references in one kilobyte. The firmware has the same check in cbor.c.
"""

from __future__ import annotations

MAX_DEPTH = 4
_UINT, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _SIMPLE = 0, 1, 2, 3, 4, 5, 7
#: false, true, null; floats of 2, 4 and 8 bytes (boards send 4).
_SIMPLES = {20, 21, 22, 25, 26, 27}


class _Outside(Exception):  # noqa: N818 - never leaves this file
    """Raised where a payload leaves the subset."""


def is_message(payload: bytes) -> bool:
    """Whether these bytes are exactly one map with unsigned keys, of the subset."""
    try:
        if not payload or payload[0] >> 5 != _MAP:
            return False
        return _skip(payload, 0, MAX_DEPTH) == len(payload)
    except _Outside:
        return False


def _head(payload: bytes, at: int) -> tuple[int, int, int, int]:
    """Read one head: its major type, low bits and value, and where its content begins."""
    if at >= len(payload):
        raise _Outside
    major, info = payload[at] >> 5, payload[at] & 31
    if info < 24:
        return major, info, info, at + 1
    end = at + 1 + (1 << (info - 24))
    if info > 27 or end > len(payload):
        raise _Outside
    return major, info, int.from_bytes(payload[at + 1 : end]), end


def _skip(payload: bytes, at: int, depth: int) -> int:
    """Step over one whole item; returns where the next one begins."""
    major, info, value, at = _head(payload, at)
    if major in {_UINT, _NEGATIVE} or (major == _SIMPLE and info in _SIMPLES):
        return at
    if major not in {_BYTES, _TEXT, _ARRAY, _MAP} or value > len(payload) - at:
        raise _Outside
    if major in {_BYTES, _TEXT}:
        return at + value
    if depth == 0:
        raise _Outside
    for _ in range(value):
        if major == _MAP:
            key, _, _, at = _head(payload, at)
            if key != _UINT:
                raise _Outside
        at = _skip(payload, at, depth - 1)
    return at
