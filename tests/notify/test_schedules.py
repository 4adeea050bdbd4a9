"""Who is told of the runs of a schedule, and what they are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeprof.cli.run import run as run_command
from edgeprof.client import Lab
from edgeprof.client.notify import Wish
from edgeprof.scheduler.notify.of_schedules import tell_of_runs
from edgeprof.shared.models.catalogue import locate
from edgeprof.shared.settings import Settings
from edgeprof.shared.types.notification import Asked, SubjectKind
from tests.support.scheduled_lab import NIGHT_S, TWO, ScheduledLab

ADDRESS = "mailto:ann@example.org"


@pytest.fixture
def nights(settings: Settings, tmp_path: Path) -> Iterator[ScheduledLab]:
    with Lab(settings=settings) as lab:
        made = ScheduledLab(lab, tmp_path, locate("shakespeare-240k"))
        made.listeners.append(tell_of_runs(lab.store))
        yield made


def asked(nights: ScheduledLab) -> list[Asked]:
    """What is to be told now, in the order in which it was asked for; then nothing is any more."""
    store = nights.lab.store.notifications
    found = []
    for each in store.ended(0)[1]:
        found.append(Asked.read(each.asked))
        store.settle(each, None, "", TWO, None)
    return found


def test_every_end_is_told(nights: ScheduledLab) -> None:
    """A run that succeeded is told with its sweep, one that failed, was skipped or missed with the
    reason, and once it is removed nobody is told any more."""
    nights.add(wish=Wish.of([ADDRESS]))
    nights.pass_night(0)
    (good,) = asked(nights)
    assert (good.address, good.subject.kind, good.subject.name, good.subject.note) == (
        ADDRESS, SubjectKind.SCHEDULE, "nightly", ""
    )  # fmt: skip
    assert good.subject.sweep_id == nights.view().runs[0].sweep_id
    nights.pass_night(1, well=False)
    (bad,) = asked(nights)
    assert bad.subject.note == "failed 2026-11-26 02:00 UTC: 4 of 4 jobs did not succeed"

    nights.scheduler().tick(TWO + 2.5 * NIGHT_S)
    (missed,) = asked(nights)
    assert missed.subject.note == "missed 2026-11-27 02:00 UTC: no scheduler ran"
    assert missed.subject.sweep_id is None

    nights.lab.schedules.remove("nightly")
    nights.add()
    nights.pass_night(0)
    assert asked(nights) == []


@pytest.mark.parametrize("conditions", [(), ("decode<-3%",)])
def test_a_run_is_compared_with_the_one_before(
    nights: ScheduledLab, conditions: tuple[str, ...]
) -> None:
    """`--against schedule:nightly~1` is the run before, whatever the archive knows yet; nothing
    stands before the first one, which is told without a comparison, or not where conditions
    decide."""
    nights.add(wish=Wish.of([ADDRESS], conditions, "schedule:nightly~1"))
    nights.pass_night(0)
    assert [each.against for each in asked(nights)] == ([] if conditions else [None])
    before = nights.view().runs[0].sweep_id
    nights.pass_night(1)

    (told,) = asked(nights)
    assert (told.against, told.conditions) == (f"sweep:{before}", conditions)


def test_addresses_are_where_clients_cannot_read_them(
    nights: ScheduledLab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`schedule add --notify` keeps the address among the keys that are the scheduler's, and in no
    record; a condition without something to compare with is refused."""
    for name, value in nights.lab.settings.as_environment().items():
        monkeypatch.setenv(name, value)
    words = ["schedule", "add", str(nights.path), "--cron", "0 2 * * *", "--notify", ADDRESS]

    assert run_command([*words, "--notify-if", "decode<-3%"]) == 2
    assert "compares with something" in capsys.readouterr().err
    assert run_command([*words, "--against", "schedule:night~1"]) == 0

    assert "ann@" not in str(nights.lab.schedules.all())
    wish = nights.lab.store.schedules.wish("night")
    assert wish is not None
    assert (wish.addresses, wish.against) == ((ADDRESS,), "schedule:night~1")
    assert nights.lab.store.script.redis.exists("edgeprof-notify:schedule:night")
