"""A lab with a schedule and a clock of the test's own: nothing waits, no board computes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from edgeprof.client import Lab
from edgeprof.client.notify import Wish
from edgeprof.client.schedules import Added
from edgeprof.scheduler.metrics import CustodianMetrics
from edgeprof.scheduler.timekeeper import Listener, RunEnded, Timekeeper
from edgeprof.shared.store.boards import Owner
from edgeprof.shared.store.job_values import Claim
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobView
from edgeprof.shared.types.schedule import EndedRun, ScheduleView
from tests.support.board_infos import board_with_ram
from tests.support.finished_job import job_result

#: Whose two o'clock it is: 2026-11-25, UTC.
TWO = datetime.fromisoformat("2026-11-25T02:00+00:00").timestamp()
NIGHT_S = timedelta(days=1).total_seconds()
SWEEP = """\
model = "mine.gguf"
quantization = ["F32", "Q8_0"]
board = ["desk-1", "desk-2"]
n_prompt = 4
n_gen = 4
score = false
"""


class ScheduledLab:
    """Two boards that were announced, and as many schedulers as a test wants."""

    def __init__(self, lab: Lab, folder: Path, model: Path) -> None:
        self.lab = lab
        self.path = folder / "night.toml"
        self.path.write_text(SWEEP)
        self.model = folder / "mine.gguf"
        self.model.write_bytes(model.read_bytes())
        self.registry = CollectorRegistry()
        self._metrics = CustodianMetrics(self.registry)
        #: What listeners were told.
        self.told: list[RunEnded] = []
        self.listeners: list[Listener] = [self.told.append]
        for name in ("desk-1", "desk-2"):
            self.announce(name, shelf="2")

    def announce(self, name: str, **tags: str) -> None:
        """Announce a board, in place of itself."""
        info = board_with_ram(name, name, "esp32s3", 8 << 20).model_copy(update={"tags": tags})
        self.lab.store.boards.announce(Owner("h", "d", name, owner=name), info, 3600)

    def add(self, cron: str = "0 2 * * *", wish: Wish | None = None) -> Added:
        """Add the schedule, at noon before the first night."""
        noon_s = TWO - NIGHT_S / 2
        return self.lab.schedules.add(
            self.path, cron, name="nightly", time_zone="UTC", wish=wish, now_s=noon_s
        )

    def pass_night(self, number: int, *, well: bool = True) -> None:
        """Let a night pass in which all is measured."""
        scheduler, due_s = self.scheduler(), TWO + number * NIGHT_S
        scheduler.tick(due_s)
        scheduler.tick(due_s + 1)
        self.end_jobs(well=well)
        scheduler.tick(due_s + 2)

    def scheduler(
        self, start: Callable[[Callable[[], None]], None] = lambda work: work()
    ) -> Timekeeper:
        """A scheduler that has just been started."""
        schedules = self.lab.store.schedules
        return Timekeeper(schedules, self.lab.settings, self._metrics, self.listeners, start)

    def view(self, name: str = "nightly") -> ScheduleView:
        return self.lab.schedules.get(name)

    def jobs(self, *states: JobState) -> list[JobView]:
        """All jobs of the lab, or those in these states."""
        return [view for view in self.lab.jobs(limit=1000) if not states or view.state in states]

    def end_jobs(self, *, well: bool = True) -> None:
        """Let all jobs that wait end."""
        for view in self.jobs(JobState.QUEUED):
            jobs = self.lab.store.jobs
            if not well:
                jobs.cancel(view.id, "test", "enough")
                continue
            claim = jobs.claim(
                view.id, view.id, device_id=view.target, platform="esp32s3", host="h",
                lock_domain="d", lease_s=60,
            )  # fmt: skip
            assert isinstance(claim, Claim)
            result = job_result(claim.spec.model, "esp32s3")
            jobs.succeed(claim.job_id, claim.epoch, result)

    def outcomes(self, name: str = "nightly") -> list[tuple[str, float]]:
        """Outcome and due time of the runs, newest first; listeners were told the same."""
        runs = self.view(name).runs
        told: list[EndedRun] = [each.run for each in self.told if each.schedule.name == name]
        assert told == list(reversed(runs))
        return [(run.outcome.value, run.due_s) for run in runs]

    def metric(self, outcome: str) -> float | None:
        name = "edgeprof_schedule_runs_total"
        return self.registry.get_sample_value(name, {"outcome": outcome})
