"""Points in time as people write them: an age ("12h"), a date, a date with a time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from edgeprof.shared.errors import UsageError

_UNIT_S: Final = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DAY: Final = timedelta(days=1)
EXAMPLES: Final = "12h, 7d, 2026-11-23 or 2026-11-23T14:00"


def parse_moment(text: str, now_s: float, *, ends: bool = False) -> float:
    """Return seconds since the epoch. Times are UTC unless they say otherwise.

    ends: the moment ends a range, so that a date means the end of that day. Raises UsageError.
    """
    if age := re.fullmatch(r"(\d{1,9})([mhdw])", text):
        return now_s - int(age[1]) * _UNIT_S[age[2]]
    try:
        when = datetime.fromisoformat(text)
        if ends and re.fullmatch(r"[\d-]+|\d{4}-?W[\d-]+", text):
            when += _DAY
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is neither an age nor a date", hint=f"e.g. {EXAMPLES}"
        ) from None
