"""One worker with a null board, whose queue a test may fill with any bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from edgeprof.shared.queue import doorbell
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobSpec, JobState
from edgeprof.workers.metrics.devices import DeviceMetrics
from edgeprof.workers.metrics.sessions import SessionMetrics
from edgeprof.workers.metrics.telemetry import Receiver
from tests.support.null_lab import Rig

QUEUE = "platform.null"


class Lab:
    """One worker with a null board, and the metrics its agent would serve."""

    def __init__(self, rig: Rig, make_spec: Callable[..., JobSpec]) -> None:
        self.rig: Any = rig
        self.make_spec = make_spec
        self.redis: Any = rig.store.script.redis  # its stubs know neither bytes nor wrong types
        self.registry = CollectorRegistry()
        self.metrics = Receiver(
            SessionMetrics(self.registry, lambda _: 1.0), DeviceMetrics(CollectorRegistry())
        )
        self.start()

    def start(self) -> None:
        self.worker = self.rig.start_worker("01", receiver=self.metrics)
        self.rig.until_board("null-01", BoardState.ONLINE)

    def push(self, *messages: bytes | str, step: int = 5, queue: str = QUEUE) -> None:
        self.redis.lpush(doorbell.list_key(queue, step), *messages)

    def serve(self, timeout_s: float = 15, **spec: Any) -> None:
        """Have a job carried out that is submitted now, by the process that was there."""
        job = self.rig.submit(self.make_spec(**spec))
        try:
            self.rig.wait_until(
                lambda: self.worker.poll() is not None or job.status.terminal,
                "the job behind is carried out",
                timeout_s=timeout_s,
            )
            assert self.worker.poll() is None, "the worker ended"
        except BaseException:
            self.start_afresh()  # for a smaller example
            raise
        assert job.status is JobState.SUCCEEDED
        self.metrics.drain()

    def start_afresh(self) -> None:
        self.worker.kill()
        self.worker.wait()
        self.redis.delete(*[doorbell.list_key(QUEUE, step) for step in range(10)])
        self.start()

    def until_read(self, queue: str = QUEUE) -> None:
        self.rig.wait_until(
            lambda: self.rig.store.doorbells.waiting(queue) == 0, "all of it is read", timeout_s=60
        )

    def memory_mib(self, what: str = "VmRSS") -> float:
        status = Path(f"/proc/{self.worker.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith(what))
        return int(line.split()[1]) / 1024

    def dropped(self, reason: str) -> float:
        self.metrics.drain()
        labels = {"platform": "null", "device_id": "null-01", "reason": reason}
        return self.registry.get_sample_value("worker_messages_dropped_total", labels) or 0.0
