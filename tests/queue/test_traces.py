"""Traces: retries and sweeps are linked, and no collector is ever in the way."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edgeprof.shared.types.job import JobSpec, JobState
from tests.support.log_records import log_records
from tests.support.null_lab import Rig

pytestmark = pytest.mark.e2e

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def silent() -> Iterator[str]:
    """A collector that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_retry_links_to_the_attempt_before(
    rig: Rig,
    make_spec: Callable[..., JobSpec],
    open_collector: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both attempts are in the job's trace; the second one names the first."""
    rig.start_scheduler()
    with open_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        worker = rig.start_worker("01")
        monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
        job = rig.submit(make_spec(tags={"fault": "link", "faults": "1"}))
        job.wait(timeout=60)
        worker.terminate()
        worker.wait()

    attempts = [span for span, _ in collector.spans if span.name == "profile_model"]
    first, second = sorted(attempts, key=lambda span: span.start_time_unix_nano)
    runs = {s.span_id for s, _ in collector.spans if s.name == "run/edgeprof.profile"}
    assert first.trace_id == second.trace_id
    assert not first.links
    (link,) = second.links
    assert link.trace_id == first.trace_id
    assert link.span_id in runs
    assert (first.status.code, second.status.code) == (2, 0)


def test_spans_say_what_they_are_about(
    rig: Rig,
    make_spec: Callable[..., JobSpec],
    open_collector: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All spans of an attempt have its board, platform and number; so has the worker's resource."""
    rig.start_scheduler()
    with open_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        worker = rig.start_worker("01")
        monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
        job = rig.submit(make_spec(tags={"fault": "link", "faults": "1"}))
        job.wait(timeout=60)
        worker.terminate()
        worker.wait()

    told: dict[str, list[dict[str, Any]]] = {}
    for span, resource in collector.spans:
        named = {a.key: a.value.string_value or a.value.int_value for a in span.attributes}
        about = {key: named.get(key) for key in ("device_id", "platform", "attempt", "job_id")}
        told.setdefault(span.name, []).append(about)
        assert (resource["device_id"], resource["platform"]) == ("null-01", "null")
    attempts = [
        {"device_id": "null-01", "platform": "null", "attempt": n, "job_id": job.id} for n in (1, 2)
    ]
    for name in ("run/edgeprof.profile", "queue_wait", "profile_model"):
        # A doorbell that was rung again, and found nothing to do, is about no attempt.
        of_attempts = [about for about in told[name] if about["attempt"] is not None]
        assert sorted(of_attempts, key=lambda about: about["attempt"]) == attempts
    assert told["self_test"][0]["device_id"] == "null-01"


def test_log_lines_about_a_job_are_in_its_trace(
    rig: Rig, make_spec: Callable[..., JobSpec]
) -> None:
    """A search for the trace id finds every log line about a job, the scheduler's on a retry
    too."""
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "edgeprof.cli", "scheduler"],
        env={**os.environ, **rig.settings.as_environment()},
        stderr=subprocess.DEVNULL,
    )
    rig.adopt(scheduler)
    worker = rig.start_worker("01")
    job = rig.submit(make_spec(2000))

    def lines(words: str = "") -> list[dict[str, Any]]:
        trace_id = job.view().trace_id
        found = log_records(rig.settings.log_dir)
        ours = [line for line in found if line.get("trace.id") == trace_id]
        return [line for line in ours if words in line["message"]]

    rig.wait_until(lambda: lines("Profiling session started"), "the worker logs its start")
    worker.kill()
    worker.wait()
    rig.wait_until(lambda: job.status is JobState.QUEUED, "the job is taken back")
    rig.wait_until(lambda: lines("went silent"), "it is logged")

    assert {line["job_id"] for line in lines()} == {job.id}
    (silent,) = lines("went silent")
    assert silent["service.name"] == "edgeprof-scheduler"
    assert silent["device_id"] == "null-01"
    (started,) = lines("Profiling session started")
    assert started["test_duration"] == make_spec().timeout_s


def test_jobs_of_a_sweep_link_to_it(rig: Rig, open_collector: Callable[[], Any]) -> None:
    """Each job has a trace of its own, or a sweep of 10 000 would be one; it links to the
    sweep's."""
    program = """
import sys
from edgeprof.client import sweep
from edgeprof.client.grid import Grid
from edgeprof.client.lab import Lab
from edgeprof.client.request import Request
with Lab() as lab:
    base = Request(model="shakespeare-240k", wait_for_board=True)
    grid = Grid(model=[base.model], quantization=["Q8_0", "Q4_0"], platform=["null"])
    sweep.submit(lab, grid.requests(base))
"""
    with open_collector() as collector:
        otel = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        environment = {**os.environ, **rig.settings.as_environment(), **otel}
        subprocess.run([sys.executable, "-c", program], env=environment, check=True)

    (sweep,) = [span for span, _ in collector.spans if span.name == "sweep"]
    submits = [span for span, _ in collector.spans if span.name == "submit"]
    assert len({span.trace_id for span in [sweep, *submits]}) == 3
    assert [link.span_id for span in submits for link in span.links] == [sweep.span_id] * 2


@pytest.mark.parametrize("collector", ["dead", "silent"])
def test_collector_that_fails_is_not_in_the_way(
    rig: Rig,
    make_spec: Callable[..., JobSpec],
    silent: str,
    collector: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Jobs run, and the worker stops when it is told to, well within its grace."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", NOBODY if collector == "dead" else silent)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    worker = rig.start_worker("01")
    for _ in range(3):
        job = rig.submit(make_spec())
        job.wait(timeout=60)
        assert job.status is JobState.SUCCEEDED
    worker.terminate()

    assert worker.wait(60) == 0


def test_nothing_is_imported_without_a_collector(rig: Rig) -> None:
    """Tracing that is off costs nothing: the exporter is not even loaded (redis-py loads the
    SDK)."""
    program = """
import json, sys
from edgeprof.client import Lab
with Lab():
    print(json.dumps([name for name in sys.modules if name.startswith("opentelemetry.exporter")]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **rig.settings.as_environment()},
        check=True,
        capture_output=True,
    )
    assert json.loads(done.stdout) == []


def test_callers_own_tracing_is_kept(rig: Rig) -> None:
    """A program that traces already gets our spans into its own trace."""
    program = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
from edgeprof.client import Lab
with Lab() as lab, trace.get_tracer("theirs").start_as_current_span("their span") as span:
    job = lab.submit("shakespeare-240k", platform="null", wait_for_board=True)
    assert job.view().trace_id == f"{span.get_span_context().trace_id:032x}"
"""
    subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **rig.settings.as_environment()},
        check=True,
    )
