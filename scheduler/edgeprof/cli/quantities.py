"""Options that are quantities: a share, a time, a size; each with its unit or in a usual one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from edgeprof.shared.errors import UsageError

_SHARES: Final = {"%": 0.01, "": 0.01}
_TIMES: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0}
_SIZES: Final = {
    **dict.fromkeys(("k", "kb", "kib"), 1024.0),
    **dict.fromkeys(("m", "mb", "mib"), 1024.0**2),
    **dict.fromkeys(("b", ""), 1.0),
}


def share(option: str, text: str) -> float:
    """Return 0.05 for "5%" or "5". Raises UsageError."""
    return _quantity(option, text, _SHARES, "5%")


def seconds(option: str, text: str) -> float:
    """Return 0.2 for "200ms"; seconds without a unit. Raises UsageError."""
    return _quantity(option, text, _TIMES, "200ms or 1.5s")


def size_bytes(option: str, text: str) -> int:
    """Return 98304 for "96K", "96kB" or "96KiB"; bytes without a unit. Raises UsageError."""
    return round(_quantity(option, text, _SIZES, "96K or 98304"))


def _quantity(option: str, text: str, units: Mapping[str, float], example: str) -> float:
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z%]*)\s*", text)
    unit = found and found[2].lower()
    if not found or unit not in units:
        raise UsageError(f"{option} {text!r} is no quantity", hint=f"e.g. {option} {example}")
    return float(found[1]) * units[str(unit)]
