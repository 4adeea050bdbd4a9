"""Metrics of the whole lab, read from the store: `:8001/metrics` of the scheduler."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from edgeprof.shared.errors import FaultClass, InfrastructureError
from edgeprof.shared.store.job_values import QueueDepth
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.store.watch import KINDS
from edgeprof.shared.telemetry.build import build_info
from edgeprof.shared.telemetry.trouble import Troubles
from edgeprof.shared.types.board import BoardInfo, BoardState
from edgeprof.shared.types.job import JobState, board_queue, platform_queue
from edgeprof.shared.types.result import JobView
from edgeprof.shared.types.schedule import Outcome

log = logging.getLogger(__name__)

#: Values of the label `action`: what the custodian does.
ACTIONS: Final = (
    "requeued",
    "expired",
    "renotified",
    "archived",
    "archived_again",
    "pruned",
    "set_aside",
)

#: Most platforms with series of finished jobs. Announced boards may name any, and series stay.
_MOST_PLATFORMS: Final = 64

#: The platform's label for jobs of unknown boards.
_UNKNOWN: Final = "unknown"

_NONE: Final = QueueDepth("", 0, 0.0, 0, 0.0)


class CustodianMetrics:
    """Metrics of this scheduler's own work. The custodian and the archiver update them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.edgeprof_custodian_actions_total = Counter(
            "edgeprof_custodian_actions_total",
            "Jobs that the custodian requeued, expired, renotified (sent their doorbell again),"
            " archived, archived_again or pruned; and unreadable entries of the store, set_aside",
            ["action"],
            registry=registry,
        )
        for action in ACTIONS:
            self.edgeprof_custodian_actions_total.labels(action)
        self.edgeprof_custodian_last_tick = Gauge(
            "edgeprof_custodian_last_tick_timestamp_seconds",
            "When this custodian last looked, leading or standing by; Unix time",
            registry=registry,
        )
        self.edgeprof_custodian_leading = Gauge(
            "edgeprof_custodian_leading",
            "Whether this scheduler's custodian leads (1) or stands by (0)",
            registry=registry,
        )
        self.edgeprof_jobs_finished_total = Counter(
            "edgeprof_jobs_finished_total",
            "Jobs that ended, by platform, end state and class of the last fault (none: no fault);"
            " counted as they are archived",
            ["platform", "state", "fault_class"],
            registry=registry,
        )
        self.edgeprof_store_danger = Gauge(
            "edgeprof_store_danger",
            "Whether Redis may lose jobs (1) or not (0): it evicts, keeps no append-only file,"
            " cannot write it, or was emptied within a day",
            ["kind"],
            registry=registry,
        )
        self.edgeprof_archive_usable = Gauge(
            "edgeprof_archive_usable",
            "Whether the results archive could be used at the last try (1) or not (0)",
            registry=registry,
        )
        self.edgeprof_schedule_runs_total = Counter(
            "edgeprof_schedule_runs_total",
            "Runs of recurring sweeps that succeeded, failed, were skipped (the run before had not"
            " finished) or missed (no scheduler ran)",
            ["outcome"],
            registry=registry,
        )
        for outcome in Outcome:
            self.edgeprof_schedule_runs_total.labels(outcome)
        self.archive_used(well=True)
        self._platforms: set[str] = set()
        self.store_looked_at(set())
        build_info(registry, "scheduler")

    def acted(self, action: str, times: int) -> None:
        """Count an action of ACTIONS."""
        self.edgeprof_custodian_actions_total.labels(action).inc(times)

    def run_ended(self, outcome: Outcome, times: int) -> None:
        """Count runs of schedules that ended so."""
        self.edgeprof_schedule_runs_total.labels(outcome).inc(times)

    def ticked(self, leading: bool) -> None:
        """Note a tick of the custodian."""
        self.edgeprof_custodian_last_tick.set(time.time())
        self.edgeprof_custodian_leading.set(leading)

    def store_looked_at(self, dangers: Collection[str]) -> None:
        """Note the dangers that the last check of Redis found."""
        for kind in KINDS:
            self.edgeprof_store_danger.labels(kind).set(kind in dangers)

    def platform_known(self, platform: str) -> None:
        """Create a platform's counters at 0: a counter that starts at 1 shows no increase."""
        platform = self._label_of(platform)
        self.edgeprof_jobs_finished_total.labels(platform, JobState.SUCCEEDED, "none")
        for fault_class in FaultClass:
            self.edgeprof_jobs_finished_total.labels(platform, JobState.FAILED, fault_class)

    def _label_of(self, platform: str) -> str:
        """Return the platform, or "unknown" beyond the limit of platforms."""
        if len(self._platforms) < _MOST_PLATFORMS:
            self._platforms.add(platform)
        return platform if platform in self._platforms else _UNKNOWN

    def archive_used(self, *, well: bool) -> None:
        """Note whether the archive could be used just now."""
        self.edgeprof_archive_usable.set(well)

    def finished(self, views: Sequence[JobView], platforms: dict[str, str]) -> None:
        """Count jobs that ended; platforms maps boards to theirs.

        Users may wait for a board of any name, so all unknown boards share one label.
        """
        known = platforms | {platform: platform for platform in platforms.values()}
        for view in views:
            last = view.attempts[-1] if view.attempts else None
            failed = view.state is JobState.FAILED and last is not None and last.fault_class
            platform = (last and platforms.get(last.device_id)) or known.get(view.target)
            self.edgeprof_jobs_finished_total.labels(
                self._label_of(platform) if platform else _UNKNOWN,
                view.state,
                str(failed) if failed else "none",
            ).inc()


class LabCollector(Collector):
    """Metrics of the whole lab, read from the store at each scrape.

    Without Redis there are no samples, because old values would mislead.
    """

    def __init__(self, store: LabStore, custodian: CustodianMetrics) -> None:
        self._store = store
        self._custodian = custodian
        self._told = Troubles(log)

    def collect(self) -> Iterator[Metric]:
        """Yield the families, filled from the store."""
        try:
            boards = self._store.boards.all()
            counts = self._store.jobs.counts()
            dead = self._store.jobs.dead_letter_count()
            depths = self._store.jobs.queue_depths()
            waiting = self._store.maintenance.unarchived_count()
            cordoned = self._store.hosts.cordoned()
            schedules, paused = self._store.schedules.counts()
        except InfrastructureError as error:
            self._told.say("store", f"nothing to tell Prometheus: {error}")
            return
        self._told.well("store")
        for platform in {board.platform for board in boards}:
            self._custodian.platform_known(platform)
        yield from _jobs(counts, dead)
        yield from _boards(boards)
        yield from _queues(boards, depths)
        yield from _hosts(boards, cordoned)
        yield _unarchived(waiting)
        yield _schedules({"active": schedules - paused, "paused": paused})

    def describe(self) -> Iterator[Metric]:
        """Yield the same families without samples, because registering must not need Redis."""
        yield from lab_families()


def lab_families() -> Iterator[Metric]:
    """Yield the families, without samples."""
    yield from _jobs({}, 0)
    yield from _boards([])
    yield from _queues([], [])
    yield from _hosts([], {})
    yield _unarchived(0)
    yield _schedules({})


def _jobs(counts: dict[JobState, int], dead: int) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("edgeprof_jobs", "Jobs in the store, by state", labels=["state"])
    for state, count in counts.items():
        jobs.add_metric([state], count)
    yield jobs
    yield GaugeMetricFamily(
        "edgeprof_dead_letter_jobs", "Jobs given up after their last attempt", value=dead
    )


def _boards(boards: Sequence[BoardInfo]) -> Iterator[Metric]:
    state = GaugeMetricFamily(
        "edgeprof_board_state",
        "The state a board is in; only its current one has a sample",
        labels=["device_id", "platform", "host", "state"],
    )
    count = GaugeMetricFamily(
        "edgeprof_boards", "Boards by platform and state", labels=["platform", "state"]
    )
    counted = {(board.platform, each): 0 for board in boards for each in BoardState}
    for board in boards:
        state.add_metric([board.device_id, board.platform, board.host, board.state], 1)
        counted[board.platform, board.state] += 1
    for (platform, each), number in counted.items():
        count.add_metric([platform, each], number)
    yield state
    yield count


def _hosts(boards: Sequence[BoardInfo], cordoned: Mapping[str, str]) -> Iterator[Metric]:
    cordon = GaugeMetricFamily(
        "edgeprof_host_cordoned",
        "Whether the boards of a host get no jobs because the host ails (1) or they do (0)",
        labels=["host"],
    )
    for host in sorted({board.host for board in boards}):
        cordon.add_metric([host], host in cordoned)
    yield cordon


def _unarchived(waiting: int) -> Metric:
    return GaugeMetricFamily(
        "edgeprof_unarchived_jobs",
        "Finished jobs that no archive holds, yet or any more",
        value=waiting,
    )


def _schedules(counts: Mapping[str, int]) -> Metric:
    schedules = GaugeMetricFamily(
        "edgeprof_schedules", "Recurring sweeps, by state: active or paused", labels=["state"]
    )
    for state, count in counts.items():
        schedules.add_metric([state], count)
    return schedules


def _queues(boards: Sequence[BoardInfo], depths: Sequence[QueueDepth]) -> Iterator[Metric]:
    labels = ["queue", "platform"]
    jobs = GaugeMetricFamily("edgeprof_queue_jobs", "Jobs waiting in a queue", labels=labels)
    age = GaugeMetricFamily(
        "edgeprof_queue_oldest_job_age_seconds",
        "How long the oldest job of a queue has waited; 0 when none does",
        labels=labels,
    )
    expected = GaugeMetricFamily(
        "edgeprof_queue_expected_jobs",
        "Jobs waiting in a queue whose duration is expected: as the same model took, or predicted",
        labels=labels,
    )
    expected_s = GaugeMetricFamily(
        "edgeprof_queue_expected_seconds",
        "Time on a board that the jobs with an expected duration will take together",
        labels=labels,
    )
    workers = GaugeMetricFamily(
        "edgeprof_queue_workers", "Boards in service for a queue: online or busy", labels=labels
    )
    # Queues with jobs, and every platform's queue. Empty queues of single boards are left out: with
    # 200 boards they would be most of the series.
    serving: dict[str, int] = {platform_queue(board.platform): 0 for board in boards}
    platforms = {platform_queue(board.platform): board.platform for board in boards}
    known = {board_queue(board.device_id) for board in boards} | serving.keys()
    # Users may wait for a board of any name, so queues without a board share one series.
    waiting: dict[str, QueueDepth] = {}
    for depth in depths:
        name = depth.queue if depth.queue in known else _UNKNOWN
        waiting[name] = _together(name, waiting.get(name, _NONE), depth)
        serving.setdefault(name, 0)
    for board in boards:
        own = board_queue(board.device_id)
        platforms[own] = board.platform
        if board.state in {BoardState.ONLINE, BoardState.BUSY}:
            for queue in (own, platform_queue(board.platform)):
                if queue in serving:
                    serving[queue] += 1
    for queue, at_work in sorted(serving.items()):
        named = [queue, platforms.get(queue, queue.removeprefix("platform."))]
        depth = waiting.get(queue, _NONE)
        jobs.add_metric(named, depth.jobs)
        age.add_metric(named, depth.oldest_age_s)
        expected.add_metric(named, depth.expected_jobs)
        expected_s.add_metric(named, depth.expected_s)
        workers.add_metric(named, at_work)
    yield from (jobs, age, expected, expected_s, workers)


def _together(name: str, one: QueueDepth, other: QueueDepth) -> QueueDepth:
    return QueueDepth(
        name,
        one.jobs + other.jobs,
        max(one.oldest_age_s, other.oldest_age_s),
        one.expected_jobs + other.expected_jobs,
        one.expected_s + other.expected_s,
    )
