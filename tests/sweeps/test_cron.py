"""Times of a cron expression in a time zone."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from edgeprof.client.cron import Cron
from edgeprof.shared.errors import UsageError

BERLIN = "Europe/Berlin"


def at(text: str, zone: str = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def test_a_time_is_one_of_its_zone() -> None:
    """Two o'clock is that of the zone, in winter and in summer; a time itself is not after it."""
    cron = Cron("0 2 * * *", BERLIN)

    assert cron.after(at("2026-11-25 01:59")) == at("2026-11-25 01:00", "UTC")
    assert cron.after(at("2026-06-25 01:59")) == at("2026-06-25 00:00", "UTC")
    assert cron.after(at("2026-11-25 02:00")) == at("2026-11-26 02:00")
    assert cron.shown(at("2026-11-25 02:00")) == "2026-11-25 02:00 CET"


def test_no_night_is_lost_or_doubled_when_clocks_change() -> None:
    """A time that the change to summer time leaves out comes after it; one that the change back
    repeats comes once; both directions agree."""
    cron = Cron("30 2 * * *", BERLIN)

    for before, after in (("2026-03-28 12:00", "2026-03-30 12:00"),
                          ("2026-10-24 12:00", "2026-10-26 12:00")):  # fmt: skip
        moment_s, forward = at(before), []
        while (moment_s := cron.after(moment_s)) < at(after):
            forward.append(moment_s)
        assert len(forward) == 2
        assert cron.between(at(before), at(after), 10) == forward


def test_between_has_both_ends_and_the_last_ones() -> None:
    """Of more times than are asked for, the last are returned."""
    cron = Cron("0 * * * *", "UTC")
    first_s = at("2026-11-25 00:00", "UTC")

    assert cron.between(first_s, first_s + 7200, 10) == [first_s + 3600 * n for n in range(3)]
    assert cron.between(first_s, first_s + 7200.5, 2) == [first_s + 3600, first_s + 7200]
    assert cron.between(first_s + 1, first_s + 3599, 9) == []


@pytest.mark.parametrize(
    ("expression", "zone", "words"),
    [
        ("61 2 * * *", "UTC", "minute is '61'.*0 to 59"),
        ("0 25 * * *", "UTC", "hour is '25'.*0 to 23"),
        ("0 2 0 * *", "UTC", "day-of-month is '0'.*1 to 31"),
        ("0 2 30 2 *", "UTC", "day-of-month is '30'"),
        ("0 2 * foo *", "UTC", "month is 'foo'.*jan to dec"),
        ("0 2 * * mon-", "UTC", "day-of-week is 'mon-'.*sun to sat"),
        ("0 2 * * * *", "UTC", r"6 field\(s\), not five: minute, hour"),
        ("", "UTC", "not five"),
        ("0 2 * * *", "Europe/Berlni", "no time zone 'Europe/Berlni', did you mean 'Europe/Berl"),
        ("0 2 * * *", "../etc/passwd", "no time zone"),
    ],
)
def test_a_mistake_names_its_field(expression: str, zone: str, words: str) -> None:
    """A wrong expression names the field and what it takes; a wrong zone the one that was meant."""
    with pytest.raises(UsageError, match=words):
        Cron(expression, zone)
