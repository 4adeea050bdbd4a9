"""An honest job, host and board beside whatever a test writes into the store."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry

from edgeprof.scheduler.custodian import Custodian
from edgeprof.scheduler.metrics import CustodianMetrics, LabCollector
from edgeprof.shared.errors import JobError
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import Owner
from edgeprof.shared.store.hosts import HostInfo
from edgeprof.shared.store.job_values import Claim, NewJob, NoClaim
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobView
from tests.support.board_infos import null_board
from tests.support.jobs import make_spec

BOARD = null_board("b").model_copy(
    update={"url": "null://b", "uid": "null-b", "clock_hz": None, "can_upload": False}
)


class Bystander:
    """An honest job queued before an attack, and one after; both are carried out, archived and told
    about."""

    def __init__(self, store: LabStore, settings: Settings) -> None:
        self.store = store
        self.archived: list[JobView] = []
        self._custodian = Custodian(store, settings, self.archived.extend)
        self._scrape = LabCollector(store, CustodianMetrics(CollectorRegistry()))
        store.script.redis.flushall()
        self.victim = self.submit()

    def submit(self) -> str:
        job = NewJob(make_spec(user="ann"))
        self.store.jobs.submit([job], "test")
        return job.id

    def attack(self, key: str, write: tuple[str, ...], value: str) -> None:
        """Write as a program that speaks Redis; what Redis refuses by itself has cost nothing."""
        fields = {"key": "edgeprof:" + key.format(victim=self.victim), "value": value}
        before, command, *arguments = write
        redis = self.store.script.redis
        with redis.pipeline(transaction=False) as pipe:
            if before:
                pipe.execute_command(before, fields["key"])
            pipe.execute_command(
                command, *(a.format(victim=self.victim, **fields) for a in arguments)
            )
            pipe.execute(raise_on_error=False)

    def finish(self) -> None:
        """See both jobs end well within a few turns of the custodian."""
        self._custodian.tick()
        self._custodian.tick()
        wanted = {self.victim, self.submit()}
        for _ in range(6):
            held = self._claim()
            if isinstance(held, Claim):
                assert held.job_id in wanted
                fault = JobError("carried out", code="test")
                assert self.store.jobs.fail(held.job_id, held.epoch, fault) is JobState.FAILED
            self._custodian.tick()
        assert [view.reason for view in self.store.jobs.views(sorted(wanted))] == [
            "carried out"
        ] * 2
        self._boards()
        list(self._scrape.collect())
        self.store.jobs.history(self.victim)
        self.store.jobs.events(self.victim)
        assert wanted <= {view.id for view in self.archived}

    def _boards(self) -> None:
        """See a board and its host listed, held and let go, as if nobody had written anything."""
        boards, hosts = self.store.boards, self.store.hosts
        boards.announce(Owner("h", "d", BOARD.uid), BOARD, 60)
        boards.cordon("b", BoardState.DRAINING, "ann", "wanted")
        boards.resume("b", "ann", "done")
        boards.answer("b", "ann", "it blinked")
        assert [each.state for each in boards.all() if each.device_id == "b"] == [BoardState.ONLINE]
        assert boards.history("b")
        agent = HostInfo(host="h", pid=1, sessions_address="h:1", devices_address="h:2")
        hosts.announce(agent)
        assert agent.model_copy(update={"fresh": True}) in hosts.all()
        hosts.cordoned()
        assert boards.next_epoch() >= time.time() * 1000 - 60e3

    def _claim(self) -> Claim | NoClaim:
        notified_job_id = next(iter(self.store.jobs.ids(JobState.QUEUED)), self.victim)
        return self.store.jobs.claim(
            notified_job_id,
            f"w{notified_job_id}",
            device_id="b",
            platform="null",
            host="h",
            lock_domain="d",
            lease_s=60,
        )
