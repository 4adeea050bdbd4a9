"""`--notify` as a user meets it: two commands, a scheduler, and a receiver."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeprof.cli import exits
from edgeprof.cli.run import run as run_command
from edgeprof.scheduler.archive import Archive
from edgeprof.scheduler.service import run_scheduler
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.lab import LabStore
from tests.support.measured import STEADY, measured
from tests.support.webhook_receiver import WebhookReceiver

Run = Callable[..., tuple[int, str, str]]
SUBMIT = ("submit", "-m", "shakespeare-240k", "--platform", "x", "--wait-for-board", "--no-wait")
SWEEP = 'model = ["shakespeare-240k"]\nplatform = ["x"]\nwait_for_board = true\nn_gen = [1, 2]\n'


@pytest.fixture
def run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """`run("submit", …)`: exit code, stdout and stderr."""
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run_command(arguments)
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


@pytest.fixture
def scheduler(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A scheduler as `edgeprof scheduler` runs it."""
    monkeypatch.setenv("EDGEPROF_NOTIFY_ALLOW", "127.0.0.1")
    stop = threading.Event()
    with Archive.open(settings) as archive:
        arguments = (settings, archive.save, stop, lambda: None, archive.holds, archive)
        thread = threading.Thread(target=run_scheduler, args=arguments)
        thread.start()
        yield
        stop.set()
        thread.join()


def test_jobs_and_sweeps_tell_their_users(
    run: Run,
    scheduler: None,
    receiver: WebhookReceiver,
    tmp_path: Path,
    wait_until: Callable[..., None],
) -> None:
    """The scheduler tells, with a link to its page; `job` and `sweep` say whether it arrived."""
    code, out, err = run(*SUBMIT, "--notify", receiver.url)
    assert code == exits.OK, err
    assert "127.0.0.1 will be told by the scheduler" in err
    assert "127.0.0.1 is the scheduler's own machine" in err
    job_id = out.strip()
    run("cancel", job_id)
    wait_until(lambda: receiver.posted, "the job's message")

    path = tmp_path / "night.toml"
    path.write_text(SWEEP)
    code, out, err = run("sweep", str(path), "--no-wait", "--notify", receiver.url, "--json")
    assert code == exits.OK, err
    queued = json.loads(out)
    sweep_id = queued["sweep_id"]
    run("cancel", "--sweep", sweep_id)
    wait_until(lambda: len(receiver.posted) == 2, "the sweep's message")

    about_job, about_sweep = (json.loads(posted.body) for posted in receiver.posted)
    assert about_job["type"] == "job.ended"
    assert about_job["data"]["url"].endswith(f"/jobs/{job_id}")
    assert about_sweep["data"]["jobs"] == {"cancelled": len(queued["jobs"])}
    assert about_sweep["data"]["url"].endswith(f"/sweeps/{sweep_id}")
    sent = "notification to 127.0.0.1: sent"
    wait_until(lambda: sent in run("job", job_id)[2], "the job says so")
    wait_until(lambda: sent in run("sweep", sweep_id)[2], "the sweep says so")
    _, record, _ = run("job", job_id, "--json")
    assert "127.0.0.1" not in record
    assert "notify" not in record


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--notify", "ftp://example.org/SECRET"], "begins with neither https://, http:// nor"),
        (["--notify", "mailto:ann"], "what follows mailto: is no mail address"),
        (["--notify-if", "missing", "--against", "main"], "nobody to notify"),
        (["--notify", "mailto:a@b.org", "--notify-if", "decode<-3%"], "--against baseline:release"),
        (
            ["--notify", "mailto:a@b.org", "--against", "baseline:mian"],
            "did you mean baseline:main",
        ),
    ],
)
def test_a_wish_that_cannot_be_fulfilled_queues_nothing(
    run: Run, settings: Settings, store: LabStore, options: list[str], said: str
) -> None:
    """It is a usage error with a hint, before any job is queued."""
    with Archive.open(settings) as archive:
        archive.save([measured("before", STEADY)])
    assert run("baseline", "save", "main", "before")[0] == exits.OK

    code, out, err = run(*SUBMIT, *options)

    assert (code, out) == (exits.USAGE, "")
    assert said in err
    assert "hint:" in err
    assert "SECRET" not in err
    assert sum(store.jobs.counts().values()) == 0
