"""Records that somebody else wrote into Redis: none does harm to a worker, a terminal or the next record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeprof.shared.errors import JobError
from edgeprof.shared.jobs import MAX_TAGS, SPEC_LIMIT_BYTES, BoardState, JobSpec, JobState
from edgeprof.shared.store.jobs import Claim, NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.texts import one_line, prose

MakeSpec = Callable[..., JobSpec]
#: Clears the screen, and hides what was there.
ESCAPE = "\x1b[2J\x1b[8m"


def submit(store: LabStore, wanted: JobSpec, **fields: str) -> str:
    job = NewJob(wanted)
    store.jobs.submit([job], "test")
    for name, value in fields.items():
        store.script.redis.hset(store.script.key(f"job:{job.id}"), name, value)
    return job.id


def claim(store: LabStore, heard: str) -> Claim | str:
    return store.jobs.claim(
        heard, "w", device_id="b", platform="null", host="h", domain="d", lease_s=60
    )


@pytest.mark.parametrize(
    "spec",
    [
        "{}",
        "not JSON",
        "[" * 100_000,
        '{"cases":' + '{"a":' * 50_000,
        json.dumps({"tags": {str(n): "x" for n in range(MAX_TAGS + 1)}}),
    ],
    ids=["empty", "not JSON", "deep list", "deep object", "many tags"],
)
def test_malformed_record_is_failed_and_holds_up_nothing(
    store: LabStore, make_spec: MakeSpec, spec: str
) -> None:
    """However it is malformed: the job ends with a reason, the next one is granted."""
    bad = submit(store, make_spec(), spec=spec)
    good = submit(store, make_spec())

    assert claim(store, bad) == "malformed"
    held = claim(store, good)
    assert isinstance(held, Claim)
    assert held.job_id == good
    assert store.jobs.state(bad) is JobState.FAILED
    assert store.jobs.views([bad, good])[-1].id == good


def test_record_that_is_too_large_is_not_read(store: LabStore, make_spec: MakeSpec) -> None:
    """It would be the worker's memory; it stays until its queue deadline ends it."""
    huge = submit(store, make_spec(), spec="x" * (SPEC_LIMIT_BYTES + 1))

    assert claim(store, huge) == "too large"
    assert isinstance(claim(store, submit(store, make_spec())), Claim)


def test_job_that_is_too_large_is_refused_at_submit(
    store: LabStore, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is written."""
    monkeypatch.setattr("edgeprof.shared.store.jobs.SPEC_LIMIT_BYTES", 100)

    with pytest.raises(JobError, match="larger than the 100"):
        store.jobs.submit([NewJob(make_spec())], "test")
    assert store.jobs.ids() == []


def test_no_text_commands_a_terminal(store: LabStore, make_spec: MakeSpec) -> None:
    """What a client, a worker or a board's name says is shown, not obeyed."""
    job_id = submit(store, make_spec(user=ESCAPE + "ann", tags={"a": ESCAPE}), reason=ESCAPE)
    store.jobs.cancel(job_id, ESCAPE, f"two\nlines{ESCAPE}")
    view = store.jobs.view(job_id)
    shown = [view.reason, view.user, *(line.reason for line in store.jobs.history(job_id))]
    shown += [value for e in store.jobs.events(job_id) for value in e.fields.values()]

    assert [text for text in shown if "\x1b" in text or "\n" in text] == []
    assert "\x1b" not in prose(f"a\n{ESCAPE}")
    assert len(one_line("x" * 10_000)) == 2000


@pytest.mark.e2e
def test_no_output_shows_a_password(
    rig: Any, make_redis: Any, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """Neither a lab that works nor one that fails writes it: logs, errors, tables, JSON, command lines."""
    secret = "hunter2-hunter2"
    redis = make_redis("--requirepass", secret)
    redis.start()
    url = redis.url.replace("//", f"//:{secret}@")
    lab = type(rig)(
        rig.settings.model_copy(update={"redis_url": url, "log_level": "DEBUG"}), rig.wait_until
    )
    out = tmp_path / "out"
    with out.open("wb") as everything:
        worker = lab.start_worker("01", output=everything)
        lab.until_board("null-01", BoardState.ONLINE)
        job = lab.submit(make_spec())
        job.wait(timeout=30)
        commands = [["jobs", "--json"], ["show", job.id], ["boards"], ["jobs", "--dead"]]
        commands += [["scheduler"], ["worker", "--board", "native://?uid=01"]]
        redis_gone = len(commands) - 2
        for number, arguments in enumerate(commands):
            if number == redis_gone:
                redis.stop()
            subprocess.run(
                [sys.executable, "-m", "edgeprof.scheduler.cli", *arguments],
                env={**os.environ, **lab.settings.as_environment()},
                stdout=everything,
                stderr=everything,
                check=False,
                timeout=60,
            )
        cmdline = Path(f"/proc/{worker.pid}/cmdline").read_text()
    lab.close()

    logs = [path.read_text() for path in lab.settings.log_dir.iterdir()]
    assert logs
    assert out.read_text()
    assert [text for text in (*logs, out.read_text(), cmdline) if secret in text] == []
