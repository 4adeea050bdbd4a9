"""Times of a cron expression in a time zone: "0 2 * * *" is two o'clock each night.

cronsim computes them as Debian's cron does: a time that the change to summer time leaves out comes
right after it, and one that the change back repeats comes once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import tzlocal
from cronsim import CronSim, CronSimError

from edgeprof.shared.errors import UsageError
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.spelling import suggestion

#: In the order of an expression; as CronSim's errors name them.
_FIELDS: Final = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31",
    "month": "1 to 12, or jan to dec",
    "day-of-week": "0 to 7, or sun to sat",
}
_SOON_S: Final = 300 * 86400.0
_EXAMPLE: Final = (
    "'0 2 * * *' is two o'clock each night, '30 1 * * mon-fri' half past one on weekdays"
)


class Cron:
    """A cron expression in a time zone. Times are seconds since the epoch."""

    def __init__(self, expression: str, time_zone: str) -> None:
        """Raises UsageError that names the field, or the zone that was perhaps meant."""
        self._zone = _zone(time_zone)
        self._expression = " ".join(expression.split())
        given = self._expression.split(" ")
        if len(given) != len(_FIELDS):  # CronSim takes a sixth field, for seconds
            raise UsageError(
                f"--cron {one_line(expression, 80)!r} has {len(given) if expression else 0}"
                f" field(s), not five: {', '.join(_FIELDS)}",
                hint=f"e.g. {_EXAMPLE}",
            )
        try:
            self._sim(datetime.now(self._zone))
        except CronSimError as error:
            field = str(error).removeprefix("Bad ")
            value = dict(zip(_FIELDS, given, strict=True)).get(field, expression)
            takes = _FIELDS.get(field, "")
            raise UsageError(
                f"--cron {one_line(expression, 80)!r}: {field} is {one_line(value, 40)!r},"
                f" which never is; it takes {takes}, with * , - and /",
                hint=f"e.g. {_EXAMPLE}",
            ) from None

    def __str__(self) -> str:
        """Return the expression in words: "At 02:00 every day"."""
        return self._sim(datetime.now(self._zone)).explain()

    def after(self, moment_s: float) -> float:
        """Return the first time after a moment. Raises UsageError when 50 years have none."""
        try:
            return next(self._sim(self._local(moment_s))).timestamp()
        except StopIteration:
            raise UsageError(
                f"--cron {self._expression!r} names no day of the next 50 years",
                hint=f"e.g. {_EXAMPLE}",
            ) from None

    def between(self, first_s: float, last_s: float, most: int) -> list[float]:
        """Return the times from first_s to last_s, both included; the last `most` of them."""
        local = self._local(last_s) + timedelta(minutes=1)
        found: list[float] = []
        for at in CronSim(self._expression, local.replace(second=0, microsecond=0), reverse=True):
            moment_s = at.timestamp()
            if moment_s < first_s or len(found) == most:
                break
            if moment_s <= last_s:
                found.append(moment_s)
        return found[::-1]

    def shown(self, moment_s: float) -> str:
        """Return a moment in the time zone: "2026-11-25 02:00 CET"."""
        return self._local(moment_s).strftime("%Y-%m-%d %H:%M %Z")

    def shown_soon(self, moment_s: float, now_s: float) -> str:
        """Return the same in fewer characters when it is within some months: "Nov 25 02:00 CET"."""
        if abs(moment_s - now_s) > _SOON_S:
            return self.shown(moment_s)
        return self._local(moment_s).strftime("%b %d %H:%M %Z")

    def _local(self, moment_s: float) -> datetime:
        return datetime.fromtimestamp(moment_s, self._zone)

    def _sim(self, start: datetime) -> CronSim:
        return CronSim(self._expression, start)


def own_time_zone() -> str:
    """Return the name of this machine's time zone."""
    return tzlocal.get_localzone_name() or "UTC"


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f"--time-zone: no time zone {one_line(name, 64)!r}"
            f"{suggestion(name, available_timezones())}",
            hint="e.g. Europe/Berlin, America/New_York or UTC",
        ) from None
