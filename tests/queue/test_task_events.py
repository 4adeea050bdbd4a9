"""Celery's tools see what became of attempts: Flower, celery-exporter, whoever hears the events."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeprof.shared.queue.celery_app import KEY_PREFIX, make_app
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobSpec, JobState
from monitoring.lab.lab import CELERY_EXPORTER_PYTHON, Ports
from tests.support.log_records import log_records
from tests.support.null_lab import Rig

pytestmark = pytest.mark.e2e

#: Longer than a test: a job between two attempts stays there.
LONG_S = 60.0


class Heard:
    """What is told to whoever follows the events, in the order that it came."""

    def __init__(self, url: str) -> None:
        self.events: list[dict[str, Any]] = []
        self._app = make_app(url)
        self._state = self._app.events.State()
        self.ready = threading.Event()
        self._receiver = self._app.events.Receiver(
            self._app.connection_for_read(), handlers={"*": self._take}
        )
        self._receiver.on_consume_ready = lambda *_, **__: self.ready.set()
        self._thread = threading.Thread(target=self._receiver.capture, kwargs={"wakeup": False})
        self._thread.start()

    def _take(self, event: dict[str, Any]) -> None:
        self._state.event(event)
        self.events.append(event)

    def of(self, job_id: str) -> list[str]:
        """The kinds of a job's events."""
        told = [event for event in self.events if event.get("uuid") == job_id]
        return [event["type"].removeprefix("task-") for event in told]

    def task(self, job_id: str) -> Any:
        """What Celery's own book-keeping makes of them."""
        return self._state.tasks[job_id]

    def close(self) -> None:
        self._receiver.should_stop = True
        self._thread.join()
        self._receiver.connection.release()


@pytest.fixture
def heard(rig: Rig) -> Iterator[Heard]:
    made = Heard(rig.store.url)
    assert made.ready.wait(30)
    yield made
    made.close()


def test_events_say_how_an_attempt_ended(
    rig: Rig, make_spec: Callable[..., JobSpec], heard: Heard
) -> None:
    """Success, retry, failure by class, cancellation: each as Celery would say it of a task of its
    own."""
    rig.start_scheduler()
    rig.start_worker("01")
    fault = {"fault": "link", "faults": "1"}

    good = rig.submit(make_spec())
    again = rig.submit(make_spec(tags=fault))
    bad = rig.submit(make_spec(tags=fault, max_attempts=1))
    for job in (good, again, bad):
        job.wait(timeout=60)
    long = rig.submit(make_spec(1000))
    rig.until_running(long)
    rig.store.jobs.cancel(long.id, "test", "enough")
    long.wait(timeout=60)
    rig.wait_until(lambda: heard.of(long.id)[-1:] == ["revoked"], "its end is told")

    assert heard.of(good.id) == ["received", "started", "succeeded"]
    assert heard.of(again.id) == [
        "received",
        "started",
        "retried",
        "received",
        "started",
        "succeeded",
    ]
    assert heard.of(bad.id) == ["received", "started", "failed"]
    assert heard.task(bad.id).exception == "LinkFault('asked for by the test')"
    assert heard.task(bad.id).state == "FAILURE"
    assert heard.task(again.id).state == "SUCCESS"
    assert heard.task(good.id).args == make_spec().label
    assert heard.task(good.id).runtime > 0


def test_the_job_that_failed_is_the_one_that_is_shown(
    rig: Rig, make_spec: Callable[..., JobSpec], heard: Heard
) -> None:
    """A doorbell may be heard for another job of its queue: nothing is told of the job that still
    waits."""
    later = rig.submit(make_spec(priority=0), notify=False)
    urgent = rig.submit(
        make_spec(priority=9, tags={"fault": "link", "faults": "9"}, max_attempts=1), notify=False
    )
    rig.start_worker("01")
    rig.until_board("null-01", BoardState.ONLINE)
    rig.notify(later.id, make_spec(priority=0))
    rig.wait_until(lambda: heard.of(urgent.id)[-1:] == ["failed"], "the failure is told")

    assert urgent.status is JobState.FAILED
    assert later.status is JobState.QUEUED
    assert heard.of(later.id) == []
    # A doorbell for which nothing is left to do tells nothing either.
    rig.notify(urgent.id, make_spec(priority=9))
    rig.notify(later.id, make_spec(priority=0))
    later.wait(timeout=30)
    rig.wait_until(lambda: heard.of(later.id)[-1:] == ["succeeded"], "the success is told")
    assert heard.of(urgent.id) == ["received", "started", "failed"]


def test_the_next_doorbell_is_received_at_once(rig: Rig, make_spec: Callable[..., JobSpec]) -> None:
    """Jobs follow each other without a pause, also after doorbells for which there is nothing to
    do."""
    rig.start_worker("01")
    rig.until_board("null-01", BoardState.ONLINE)
    jobs = [rig.submit(make_spec()) for _ in range(20)]
    for _ in range(20):
        rig.notify(jobs[0].id, make_spec())
    last = rig.submit(make_spec())
    last.wait(timeout=60)

    started_s, finished_s = jobs[0].view().started_s, last.view().finished_s
    assert started_s is not None
    assert finished_s is not None
    took_s = finished_s - started_s
    assert took_s < 10  # a pause of Celery's loop at each would make 40


@pytest.mark.parametrize(
    ("grace_s", "end"), [(20, "succeeded"), (0.1, "retried")], ids=["in time", "handed back"]
)
def test_end_is_told_when_the_worker_stops(
    rig: Rig, make_spec: Callable[..., JobSpec], heard: Heard, grace_s: float, end: str
) -> None:
    """Celery closes its connections as soon as it is told to stop; the job ends after that."""
    worker = rig.start_worker("01", stop_grace_s=grace_s)
    job = rig.submit(make_spec(200))
    rig.until_running(job)
    worker.terminate()
    assert worker.wait(60) == 0

    rig.wait_until(lambda: heard.of(job.id)[-1:] == [end], "its end is told")


def test_no_traceback_for_a_failed_attempt(
    rig: Rig, make_spec: Callable[..., JobSpec], tmp_path: Path
) -> None:
    """A failure is one line of ours; neither Celery nor anybody else logs it as an error of the
    program."""
    rig.start_worker("01")
    job = rig.submit(make_spec(tags={"fault": "link", "faults": "9"}, max_attempts=1))
    job.wait(timeout=30)

    def log() -> str:
        return "".join(path.read_text() for path in rig.settings.log_dir.glob("*.jsonl"))

    rig.wait_until(lambda: "Profiling session failed" in log(), "the failure is logged")
    assert "Traceback" not in log()
    lines = log_records(rig.settings.log_dir)
    (said,) = [line for line in lines if "Profiling session failed" in line["message"]]
    assert (said["job_id"], said["device_id"], said["attempt"]) == (job.id, "null-01", 1)


@pytest.fixture
def tools(rig: Rig) -> Iterator[Callable[[str, str], str]]:
    """Flower and celery-exporter, as `make lab` starts them; `tools("flower", path)` fetches a
    page."""
    ports = Ports.free()
    options = {"global_keyprefix": KEY_PREFIX}
    commands = {
        "flower": [sys.executable, "-m", "edgeprof.cli", "flower", f"--port={ports.flower}"],
        "celery_exporter": [
            str(CELERY_EXPORTER_PYTHON), "-c", "from src.cli import cli; cli()",
            f"--broker-url={rig.store.url}",
            *(f"--broker-transport-option={name}={value}" for name, value in options.items()),
            "--host=127.0.0.1", f"--port={ports.celery_exporter}",
        ],
    }  # fmt: skip
    environment = {**os.environ, **rig.settings.as_environment()}
    processes = [
        subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for command in commands.values()
    ]

    def get(tool: str, path: str) -> str:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{getattr(ports, tool)}{path}", timeout=10
            ) as reply:
                return str(reply.read().decode())
        except OSError:
            return ""

    rig.wait_until(lambda: get("flower", "/healthcheck"), "Flower answers")
    rig.wait_until(lambda: get("celery_exporter", "/health"), "celery-exporter answers")
    yield get
    for process in processes:
        process.terminate()
        process.wait()


def test_flower_and_exporter_show_failures(
    rig: Rig, make_spec: Callable[..., JobSpec], tools: Callable[[str, str], str]
) -> None:
    """Flower's Failed and Retried filters find them; the exporter counts them, by class and
    queue."""
    rig.start_scheduler()
    rig.start_worker("01", retry_backoff_s=LONG_S)
    rig.until_board("null-01", BoardState.ONLINE)

    # Until both follow the events, nothing is to be missed.
    def followed() -> bool:
        rig.submit(make_spec()).wait(timeout=30)
        return "SUCCESS" in tools("flower", "/api/tasks") and "task_succeeded_total{" in tools(
            "celery_exporter", "/metrics"
        )

    rig.wait_until(followed, "both have seen a task")
    fault = {"fault": "link", "faults": "9"}
    bad = rig.submit(make_spec(tags=fault, max_attempts=1))
    bad.wait(timeout=30)
    again = rig.submit(make_spec(tags=fault))
    rig.wait_until(
        lambda: len(again.view().attempts) == 1 and again.status is JobState.QUEUED, "it rests"
    )

    def shown(state: str) -> set[str]:
        return set(json.loads(tools("flower", f"/api/tasks?state={state}") or "{}"))

    rig.wait_until(lambda: shown("FAILURE") == {bad.id}, "Flower's filter finds the failed one")
    rig.wait_until(lambda: shown("RETRY") == {again.id}, "Flower's filter finds the retried one")
    labels = 'hostname="null-01.testhost",name="edgeprof.profile",queue_name="platform.null"'
    failed = f'celery_task_failed_total{{exception="LinkFault",{labels}}} 1.0'
    retried = f"celery_task_retried_total{{{labels}}} 1.0"
    for sample in (failed, retried):
        rig.wait_until(lambda sample=sample: sample in tools("celery_exporter", "/metrics"), sample)


def test_flower_lists_the_queues(
    rig: Rig, make_spec: Callable[..., JobSpec], tools: Callable[[str, str], str]
) -> None:
    """Flower's Broker page has each queue of the lab, and how many doorbells wait there."""
    rig.start_worker("01")
    rig.until_board("null-01", BoardState.ONLINE)
    for _ in range(2):
        rig.submit(make_spec(board="null-99"))

    def rows() -> str:
        return "".join(tools("flower", "/broker").split())

    for row in ("platform.null", "board.null-01", r"<td>board.null-99</td><td[^>]*>2</td>"):
        rig.wait_until(lambda row=row: re.search(row, rows()), f"{row} is listed")
