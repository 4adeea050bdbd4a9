"""The W3C traceparent, as far as this project reads it: version-trace-span-flags."""

from __future__ import annotations

import re
from typing import Final

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def trace_id_of(traceparent: str) -> str:
    """Return the trace id, or "" for a malformed one: it becomes a part of metrics and links."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return found[1] if found else ""
