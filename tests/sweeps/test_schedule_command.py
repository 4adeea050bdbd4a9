"""`edgeprof schedule` as a person and a script meet it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from edgeprof.cli import exits
from edgeprof.cli.render import schedules as shown
from edgeprof.cli.run import run as run_command
from edgeprof.client import Lab
from edgeprof.shared.models.catalogue import locate
from edgeprof.shared.types.schedule import EndedRun, Outcome
from tests.support.scheduled_lab import SWEEP, TWO, ScheduledLab

Run = Callable[..., tuple[int, str, str]]
CRON = ("--cron", "0 2 * * *")


@pytest.fixture
def nights(lab: Lab, tmp_path: Path) -> ScheduledLab:
    return ScheduledLab(lab, tmp_path, locate("shakespeare-240k"))


@pytest.fixture
def schedule(
    nights: ScheduledLab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """`schedule("add", FILE, …)`: exit code, stdout and stderr."""
    for name, value in nights.lab.settings.as_environment().items():
        monkeypatch.setenv(name, value)

    def call(*words: str) -> tuple[int, str, str]:
        code = run_command(["schedule", *words])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def test_from_add_to_remove(nights: ScheduledLab, schedule: Run) -> None:
    """Each command says what it has done; `run` prints the sweep's id, and lists have JSON."""
    path = str(nights.path)
    assert schedule("list", "--json") == (exits.OK, "[]\n", "")
    code, _, err = schedule("add", path, *CRON, "--time-zone", "Europe/Berlin")
    assert code == exits.OK, err
    assert "schedule night: 4 jobs a run, next " in err
    assert " 02:00 CE" in err
    code, sweep_id, _ = schedule("run", "night")
    assert (code, len(nights.jobs())) == (exits.OK, 4)
    assert schedule("pause", "night") == (exits.OK, "", "schedule night is paused\n")
    (found,) = json.loads(schedule("list", "--json")[1])
    assert (found["name"], found["cron"], found["time_zone"]) == ("night", CRON[1], "Europe/Berlin")
    assert (found["next_s"], found["open_run"]["sweep_id"]) == (None, sweep_id.strip())
    assert "runs again: next" in schedule("resume", "night")[2]
    shown_one = schedule("show", "night")[1]
    for part in ("At 02:00 every day", "Europe/Berlin", "from night.toml", "model mine.gguf"):
        assert part in shown_one
    assert schedule("remove", "night")[0] == exits.OK
    assert "no schedules" in schedule("list")[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "FILE", "--cron", "0 25 * * *"), "hour is '25'"),
        (("add", "FILE", *CRON, "--time-zone", "Mars"), "no time zone 'Mars'"),
        (("add", "FILE", *CRON, "--name", "a b"), "'a b' is no name"),
        (("add", "FILE", *CRON, "--name", "nightly"), "there is a schedule 'nightly' already"),
        (("add", "TYPO", *CRON), "line 3: unknown key 'bord', did you mean 'board'?"),
        (("add", "AWAY", *CRON), "line 3: no board 'desk-9' in this lab; did you mean 'desk-"),
        (("add", "TAGGED", *CRON), "the tag 'schedule' is that of the schedule's name"),
        (("show", "nigtly"), "no schedule 'nigtly', did you mean 'nightly'?"),
        (("run", "nigtly"), "did you mean 'nightly'?"),
        (("resume", "x"), "no schedule 'x'"),
    ],
)
def test_mistakes_are_told(
    nights: ScheduledLab, schedule: Run, words: tuple[str, ...], said: str
) -> None:
    """A wrong call names what is wrong, exits with 2, and changes nothing."""
    nights.add()
    files = {
        "FILE": SWEEP,
        "TYPO": SWEEP.replace("board =", "bord ="),
        "AWAY": SWEEP.replace("desk-2", "desk-9"),
        "TAGGED": SWEEP + '[tags]\nschedule = "mine"\n',
    }
    before = nights.view()
    for name, text in files.items():
        (nights.path.parent / f"{name}.toml").write_text(text)
    given = [f"{nights.path.parent / word}.toml" if word in files else word for word in words]

    code, out, err = schedule(*given)

    assert (code, out) == (exits.USAGE, "")
    assert said in err
    assert nights.lab.schedules.all() == [before]


def test_list_tells_that_no_scheduler_runs(nights: ScheduledLab, schedule: Run) -> None:
    """A schedule that was due, and that nobody has looked at, is told below the table."""
    nights.add()  # its nights are past

    code, out, err = schedule("list")

    assert (code, "nightly" in out) == (exits.OK, True)
    assert "nightly was due 2026-11-25 02:00 UTC: does `edgeprof scheduler` run?" in err


def test_list_tells_what_was_missed_in_80_columns(nights: ScheduledLab) -> None:
    """The table fits a terminal of 80 columns with the next run, the last one, and the nights that
    were missed in the last week, though one has run since."""
    nights.add()
    runs = (
        EndedRun(
            outcome=Outcome.SUCCEEDED,
            due_s=TWO + 60,
            ended_s=TWO + 60,
            sweep_id="nightly-1a2b3c4d",
            jobs=4,
            succeeded=4,
        ),
        EndedRun(outcome=Outcome.MISSED, due_s=TWO, ended_s=TWO + 9, count=3),
    )
    view = nights.view().model_copy(update={"runs": runs})
    console = Console(width=80, record=True)

    console.print(shown.sheet([view], TWO + 3660).fitted(console).table())

    text = " ".join(console.export_text().split())
    assert all(len(line) <= 80 for line in console.export_text().splitlines())
    for part in ("nightly", "0 2 * * *", "Nov 25 02:00 UTC", "succeeded 60 min ago"):
        assert part in text
    for word in ("missed", "and 2 before"):
        assert word in text
