"""Numbers as text for people."""

from __future__ import annotations

from datetime import UTC, datetime


def human_bytes(n: float) -> str:
    """Return e.g. "946.31 KiB", in llama-bench's manner."""
    for unit in ("B", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.0f} B" if unit == "B" else f"{n:.2f} {unit}"
        n /= 1024
    return f"{n:.2f} GiB"


def human_count(n: float) -> str:
    """Return e.g. "1.05 M"."""
    if n < 1000:
        return f"{n:.0f}"
    for unit in ("K", "M"):
        n /= 1000
        if n < 1000:
            return f"{n:.2f} {unit}"
    return f"{n / 1000:.2f} B"


def human_s(seconds: float) -> str:
    """Return a duration with three or four digits and its unit, e.g. "412 us", "38.1 ms"."""
    for unit, factor in (("us", 1e6), ("ms", 1e3), ("s", 1.0)):
        value = seconds * factor
        if value < 1000 or unit == "s":
            return f"{value:.3g} {unit}" if value < 100 else f"{value:.0f} {unit}"
    raise AssertionError


def ago(seconds: float) -> str:
    """Return e.g. "3 min ago"."""
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (129600, 3600, "h")):
        if seconds < limit:
            return f"{max(seconds, 0) / size:.0f} {unit} ago"
    return f"{seconds / 86400:.0f} d ago"


def when(seconds: float) -> str:
    """Return a time since the epoch as date and time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
