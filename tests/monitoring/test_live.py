"""The lab, watched for real: Prometheus, Alertmanager, Flower, celery-exporter, traces and logs.

It is long because all of it looks at one lab, which takes most of a minute to start.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.lab.config import ROOT
from tests.monitoring.conftest import FastLab

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("lab"), pytest.mark.timeout(600)]

DASHBOARDS = sorted((ROOT / "monitoring" / "grafana" / "dashboards").glob("*.json"))
RULES = sorted((ROOT / "monitoring" / "prometheus").glob("[ar]*/*.yml"))


def test_hosts_are_found_and_scraped(lab: FastLab, wait_until: Callable[..., None]) -> None:
    """Every job of the shipped configuration is up; the lab's host came by service discovery."""
    jobs = {
        "tiny-llm-profiler",
        "device-metrics",
        "edgeprof-scheduler",
        "celery-exporter",
        "flower",
        "redis-exporter",
        "prometheus",
        "alertmanager",
    }

    def up() -> set[str]:
        return {sample["metric"]["job"] for sample in lab.value("up == 1")}

    wait_until(lambda: up() == jobs, f"{jobs} are up", timeout_s=60)
    (host,) = lab.value('up{job="device-metrics"}')
    assert host["metric"]["host"] == "testhost"


def test_unplugged_board_fires_and_clears(lab: FastLab, wait_until: Callable[..., None]) -> None:
    """DeviceDisconnected when a board's process is killed, with its runbook; gone when it is
    back."""
    lab.plugs["well"].unplug()
    wait_until(
        lambda: lab.alerts("DeviceDisconnected", "firing", device_id="well"),
        "the alert fires",
        timeout_s=60,
    )

    alert = lab.alerts("DeviceDisconnected", "firing", device_id="well")[0]
    with urllib.request.urlopen(alert["runbook_url"]) as reply:
        assert reply.read().startswith(b"## DeviceDisconnected")
    lab.plugs["well"].replug()
    wait_until(
        lambda: lab.alerts("DeviceDisconnected", "resolved", device_id="well"),
        "it is resolved",
        timeout_s=90,
    )


def test_hot_board_fires_and_clears(lab: FastLab, wait_until: Callable[..., None]) -> None:
    """DeviceOverheating by the board's own (emulated) sensor; gone when the board is cool."""
    wait_until(
        lambda: lab.alerts("DeviceOverheating", "firing", device_id="hot"),
        "the alert fires",
        timeout_s=60,
    )
    assert lab.lines(message="High device temperature", device_id="hot")
    plug = lab.plugs["hot"]
    plug.options = ["--uid", "a001", "--temperature", "40000"]
    plug.unplug()
    plug.replug()

    wait_until(
        lambda: lab.alerts("DeviceOverheating", "resolved", device_id="hot"),
        "it is resolved",
        timeout_s=90,
    )


def test_failing_sessions_fire_and_clear(lab: FastLab, wait_until: Callable[..., None]) -> None:
    """ProfilingSessionFailed after four failures of one class, gone some minutes after the last."""
    for _ in range(4):
        assert lab.profile("forgetful")["state"] == "failed"

    wait_until(
        lambda: lab.alerts("ProfilingSessionFailed", "firing"), "the alert fires", timeout_s=60
    )
    (failure, *_) = lab.lines(message="Memory allocation failed")
    assert failure["logger"] == "profiler.hardware"
    assert {"requested_bytes", "available_bytes"} <= failure.keys()
    wait_until(
        lambda: lab.alerts("ProfilingSessionFailed", "resolved"), "it is resolved", timeout_s=90
    )


def test_slow_model_fires_and_clears(lab: FastLab, wait_until: Callable[..., None]) -> None:
    """LowThroughput after a run below the platform's floor; an old run is no alert."""
    lab.profile("well")

    wait_until(lambda: lab.alerts("LowThroughput", "firing"), "the alert fires", timeout_s=60)
    before = len(lab.alerts("LowThroughput", "resolved"))
    wait_until(
        lambda: len(lab.alerts("LowThroughput", "resolved")) > before,
        "it is resolved",
        timeout_s=120,
    )


def test_full_memory_fires_and_clears(lab: FastLab, wait_until: Callable[..., None]) -> None:
    """HighMemoryUsage while a model fills a board's RAM; gone when the board is empty."""
    lab.profile("small")
    wait_until(
        lambda: lab.alerts("HighMemoryUsage", "firing", device_id="small"),
        "the alert fires",
        timeout_s=60,
    )
    lab.plugs["small"].unplug()
    lab.plugs["small"].replug()

    wait_until(
        lambda: lab.alerts("HighMemoryUsage", "resolved", device_id="small"),
        "it is resolved",
        timeout_s=90,
    )


def test_job_from_exemplar_to_trace_to_logs(lab: FastLab, wait_until: Callable[..., None]) -> None:
    """One trace id: in Prometheus' exemplars, in the spans that arrived, in log lines of two
    processes."""
    job = lab.profile("well")
    trace_id = lab.edgeprof("job", job["id"])["trace_id"]

    def exemplars() -> set[str]:
        found = lab.ask(
            "query_exemplars",
            query="profiling_duration_seconds_bucket",
            start="0",
            end="99999999999",
        )
        return {e["labels"]["trace_id"] for series in found for e in series["exemplars"]}

    def spans() -> dict[str, Any]:
        ours = [s for s, _ in lab.collector.spans if s.trace_id.hex() == trace_id]
        return {span.name: span for span in ours}

    wait_until(lambda: trace_id in exemplars(), "the exemplar is in Prometheus")
    wait_until(lambda: "run/edgeprof.profile" in spans(), "the trace has arrived")
    names = spans()
    parents = {
        name: next((n for n, s in names.items() if s.span_id == span.parent_span_id), None)
        for name, span in names.items()
    }
    assert parents == {
        "submit": None,
        "run/edgeprof.profile": "submit",
        "queue_wait": "submit",
        "profile_model": "run/edgeprof.profile",
        "device_connection": "profile_model",
        "model_loading": "profile_model",
        "board.load": "model_loading",
        "inference_profiling": "profile_model",
        "test_case": "inference_profiling",
        "board.prefill": "test_case",
        "board.decode": "test_case",
    }
    lines = lab.lines(**{"trace.id": trace_id})
    assert {line["logger"] for line in lines} >= {"profiler.operations"}
    assert all(line["job_id"] == job["id"] for line in lines if "job_id" in line)


def test_spans_of_the_board_are_inside_those_of_the_host(
    lab: FastLab, wait_until: Callable[..., None]
) -> None:
    """Placed by a measured offset, the board's prefill lies within its test case, to 5 ms."""
    job = lab.profile("well")
    trace_id = lab.edgeprof("job", job["id"])["trace_id"]

    def spans(name: str) -> list[Any]:
        return [
            s for s, _ in lab.collector.spans if s.trace_id.hex() == trace_id and s.name == name
        ]

    wait_until(lambda: spans("test_case"), "the trace has arrived")
    (case,) = spans("test_case")
    for span in spans("board.prefill") + spans("board.decode"):
        assert span.start_time_unix_nano >= case.start_time_unix_nano - 5_000_000
        assert span.end_time_unix_nano <= case.end_time_unix_nano + 5_000_000


def test_self_test_is_one_trace(lab: FastLab, wait_until: Callable[..., None]) -> None:
    """A self-test's spans on a board have one root, which is not a job's."""

    def roots() -> set[str]:
        return {s.name for s, _ in lab.collector.spans if not s.parent_span_id}

    wait_until(lambda: "self_test" in roots(), "a self-test has arrived")
    assert roots() <= {"self_test", "submit", "sweep"}
    tests = {s.trace_id for s, _ in lab.collector.spans if s.name == "self_test"}
    inside = {s.name for s, _ in lab.collector.spans if s.trace_id in tests}
    assert {"device_connection", "model_loading", "board.load", "board.prefill"} <= inside


def test_failed_job_is_a_failure_in_celerys_tools(
    lab: FastLab, wait_until: Callable[..., None]
) -> None:
    """celery-exporter counts it by the fault's class, on the board that it failed on."""
    lab.profile("forgetful")
    failed = 'celery_task_failed_total{exception="ModelError", hostname="forgetful.testhost"} > 0'
    wait_until(lambda: lab.value(failed), "the failure is counted", timeout_s=60)


def test_failed_job_is_an_error_in_its_trace(lab: FastLab, wait_until: Callable[..., None]) -> None:
    """The attempt's span has an error status, and the fault's class and code."""
    job = lab.profile("forgetful")
    trace_id = lab.edgeprof("job", job["id"])["trace_id"]

    def attempts() -> list[Any]:
        return [
            s
            for s, _ in lab.collector.spans
            if s.trace_id.hex() == trace_id and s.name == "profile_model"
        ]

    wait_until(attempts, "the trace has arrived")
    (span,) = attempts()
    named = {a.key: a.value.string_value for a in span.attributes}
    assert span.status.code == 2
    assert named["edgeprof.fault_class"] == "model"
    assert named["error.type"] == "no_memory"


def test_log_lines_are_complete(lab: FastLab) -> None:
    """Every line of every process parses and has the document's fields and the ECS names."""
    lines = lab.lines()

    assert lines
    for line in lines:
        assert {"timestamp", "level", "message", "module", "function", "line"} <= line.keys()
        assert {"@timestamp", "log.level", "logger", "host", "ecs.version"} <= line.keys()
    (started, *_) = lab.lines(message="Profiling session started")
    assert {"device_id", "platform", "model_name", "job_id", "session_id"} <= started.keys()


def test_flower_shows_boards_and_their_tasks(lab: FastLab, wait_until: Callable[..., None]) -> None:
    """A worker for each board; tasks named by what they do, not by an id alone."""
    lab.profile("well")

    def get(path: str) -> Any:
        with urllib.request.urlopen(lab.url("flower", path), timeout=10) as reply:
            return json.load(reply)

    def workers() -> set[str]:
        return {worker["hostname"] for worker in get("/workers?json=1")["data"]}

    wait_until(lambda: workers() == {f"w@{name}.testhost" for name in lab.plugs}, "all are there")
    wait_until(lambda: get("/api/tasks"), "Flower has seen a task")
    assert any(
        "shakespeare-240k F32 on well" in task["args"] for task in get("/api/tasks").values()
    )


def test_celery_exporter_tells_boards_apart(lab: FastLab, wait_until: Callable[..., None]) -> None:
    """One hostname for each board, although they share a host."""

    def boards() -> set[str]:
        found = lab.value("celery_task_succeeded_total > 0")
        return {sample["metric"]["hostname"] for sample in found}

    wait_until(
        lambda: {"well.testhost", "small.testhost"} <= boards(), "both have tasks", timeout_s=60
    )


#: Rightly empty in this lab, and why.
EMPTY = {
    "device_power_consumption_mw": "no meter",
    "model_energy_per_token_joules": "no meter",
    "redis_memory_max_bytes > 0": "the lab's Redis has no limit",
    "device_link_errors_total": "a process on a socket loses no frames",
    "device_link_retransmits_total": "so nothing is sent again",
    "ALERTS": "whether one fires at this moment is up to other tests",
    "profiling_errors_total": "whether a session has failed yet is up to other tests",
}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_query_of_a_dashboard_has_data(
    lab: FastLab, wait_until: Callable[..., None], path: Path
) -> None:
    """Every panel's expression parses and returns data, or is rightly empty."""
    dashboard = json.loads(path.read_text())
    expressions = [
        target["expr"]
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
        if "expr" in target
    ]
    names = {variable["name"] for variable in dashboard["templating"]["list"]}

    for expression in expressions:
        asked = substituted(expression, names)
        assert "$" not in asked, f"{asked}: unknown variable"
        if any(part in asked for part in EMPTY):
            lab.value(asked)
        else:
            wait_until(lambda asked=asked: lab.value(asked), f"{asked} has data", timeout_s=60)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_variable_has_values(lab: FastLab, path: Path) -> None:
    """Each label_values() of a dashboard finds values."""
    for variable in json.loads(path.read_text())["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"])
            assert found is not None
            metric = substituted(found[1], {"host", "platform"})
            assert lab.value(f"count by ({found[2]}) ({metric})"), variable["definition"]


#: Metrics in rules of which nothing has happened in this lab.
UNSEEN = {"group_left"}


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_every_metric_of_a_rule_exists(
    lab: FastLab, wait_until: Callable[..., None], path: Path
) -> None:
    """A rule about a metric that nobody exports would be silent for ever."""
    rules = yaml.safe_load(path.read_text())["groups"]
    for expression in (rule["expr"] for group in rules for rule in group["rules"]):
        bare = re.sub(r"\{.*?\}|\b(by|on|group_left) *\(.*?\)", "", expression)
        for name in set(re.findall(r"\b[a-z]+[_:][a-z0-9_:]+\b(?! *\()", bare)) - UNSEEN:
            wait_until(lambda name=name: lab.value(f"count({name})"), f"{name} exists", 60)


def substituted(expression: str, names: set[str]) -> str:
    """Fill in Grafana's variables: everything selected, an hour shown, a scrape each second."""
    fixed = {"__rate_interval": "30s", "__range": "1h", "__interval": "15s", "deadline": "3600"}
    for name in sorted(names | fixed.keys(), key=len, reverse=True):
        value = fixed.get(name, ".*")
        expression = expression.replace(f"${{{name}}}", value).replace(f"${name}", value)
    return expression
