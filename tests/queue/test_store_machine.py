"""The job store as a state machine, against real Redis: any order of calls, time running out,
zombies.

It is long because it is one state machine: each rule runs against all others.
"""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from edgeprof.shared.errors import HostFault, JobError, LinkFault, ModelError, UsageError
from edgeprof.shared.store.boards import Owner
from edgeprof.shared.store.job_values import Claim, NewJob, NoClaim
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.case import TestCase
from edgeprof.shared.types.job import JobSpec, JobState, Target
from edgeprof.shared.types.model import ModelRef
from edgeprof.shared.types.result import JobResult
from tests.support.board_infos import null_board

BOARDS = ("b1", "b2")
USERS = ("ann", "bob")
#: b1 has it, b2 has not.
TAG = {"psram": "8MB"}
MODEL = ModelRef(
    name="m",
    sha256="0" * 64,
    size_bytes=1,
    quantization="F32",
    n_params=1,
    n_ctx_train=64,
    n_vocab=4,
)
FAULTS = (
    HostFault("h"),
    LinkFault("l"),
    ModelError("m", code="no_memory"),
    JobError("j", code="token"),
)
PICK = st.integers(0, 5)
HAVE_JOBS = precondition(lambda self: self.all)
HAVE_CLAIMS = precondition(lambda self: self.claims)
RESULT = cast(Any, JobResult).model_construct(cases=())  # the store does not look inside


class StoreMachine(RuleBasedStateMachine):
    """Two boards of one platform, at most three jobs: few, so that they meet in every way.

    Claims are kept for ever, as zombies keep them.
    """

    store: LabStore

    def __init__(self) -> None:
        super().__init__()
        self.store.script.redis.flushdb()
        for board in BOARDS:
            tags = TAG if board == "b1" else {}
            info = null_board(board).model_copy(update={"platform": "p", "tags": tags})
            self.store.boards.announce(Owner(host="h", lock_domain="d", uid=board), info, 80_000)
        #: Board -> the only user whose jobs it gets.
        self.reserved: dict[str, str] = {}
        self.all: dict[str, JobSpec] = {}
        self.claims: list[tuple[str, Claim]] = []
        self.holder: dict[str, Claim] = {}
        #: Jobs whose lease ran out unnoticed; those of them whose board took another job meanwhile.
        self.overdue: set[str] = set()
        self.orphans: set[str] = set()
        #: Jobs between two attempts that are not in their queue.
        self.delayed: set[str] = set()
        self.final: dict[str, JobState] = {}
        self.granted: dict[str, int] = {}
        self.last_epoch = 0
        self.owners = 0

    # --- what people and workers do

    @precondition(lambda self: len(self.all) < 3)
    @rule(
        board=st.sampled_from((None, None, "b1")),
        most=st.integers(1, 3),
        priority=st.sampled_from((0, 5, 5, 9)),
        user=st.sampled_from(USERS),
        require=st.sampled_from(({}, TAG)),
    )
    def submit(
        self, board: str | None, most: int, priority: int, user: str, require: dict[str, str]
    ) -> None:
        target = Target(device_id=board) if board else Target(platform="p")
        spec = JobSpec(
            model=MODEL,
            target=target,
            cases=(TestCase(prompt_tokens=(1,), n_gen=1),),
            n_ctx=64,
            max_attempts=most,
            priority=priority,
            user=user,
            require=require,
        )
        job = NewJob(spec)
        self.store.jobs.submit([job], "client")
        self.store.jobs.submit([job], "client")  # as a client library does after a lost reply
        self.all[job.id] = spec
        self.granted[job.id] = 0

    @HAVE_JOBS
    @rule(pick=PICK, board=st.sampled_from(BOARDS))
    def receive_any_doorbell(self, pick: int, board: str) -> None:
        self.claim(self._job(pick), board)

    @HAVE_JOBS
    @rule(board=st.sampled_from(BOARDS))
    def receive_doorbell_of_queued(self, board: str) -> None:
        for job in self.all:
            if self.store.jobs.state(job) is JobState.QUEUED:
                self.claim(job, board)
                return

    @precondition(lambda self: self.holder)
    @rule(fault=st.sampled_from(FAULTS[:2]), backoff_s=st.sampled_from((0, 0, 60)))
    def attempt_fails_for_no_fault_of_the_job(self, fault: HostFault, backoff_s: float) -> None:
        job, held = next(iter(self.holder.items()))
        state = self.store.jobs.fail(job, held.epoch, fault, backoff_s=backoff_s)
        assert state is not None
        self._let_go(job)
        if backoff_s and state is JobState.QUEUED:
            self.delayed.add(job)

    @precondition(lambda self: self.delayed)
    @rule()
    def rest_is_over(self) -> None:
        delayed = self.store.script.key("delayed")
        self.store.script.redis.zadd(delayed, dict.fromkeys(self.delayed, 0), xx=True)
        self.delayed.clear()
        self.custodian_notifies()

    @rule()
    def custodian_notifies(self) -> None:
        """A board is told of a job by its own queue if it can have it, and only then."""
        told = self.store.maintenance.stale_notifications(
            0, key_prefix="doorbell:", separator="/", last_step=0
        )
        ready = self._ready()
        for board in BOARDS:
            jobs = {bell.job_id for bell in told if bell.queue == f"board.{board}"}
            assert all(self._may_have(job, board) for job in jobs - self._bound_to(board))
            untold = {
                job for job in ready if self.all[job].require or board in self.reserved
            } - self._tried()
            idle = not self._busy(board)
            if idle and any(self._may_have(job, board) for job in untold):
                assert jobs

    @rule(board=st.sampled_from(BOARDS), user=st.sampled_from(USERS))
    def reserve(self, board: str, user: str) -> None:
        if self.reserved.setdefault(board, user) == user:
            self.store.reservations.reserve(board, user, 3600)
            return
        with pytest.raises(UsageError, match=self.reserved[board]):
            self.store.reservations.reserve(board, user, 3600)

    @precondition(lambda self: self.reserved)
    @rule()
    def release(self) -> None:
        board, user = self.reserved.popitem()
        assert self.store.reservations.release(board, user)

    @precondition(lambda self: self.reserved)
    @rule()
    def reservation_runs_out(self) -> None:
        board, user = self.reserved.popitem()
        redis, key = self.store.script.redis, self.store.script.key
        redis.hset(key("reservations"), board, json.dumps({"user": user, "until_s": 1}))
        redis.zadd(key("reservations:until"), {board: 1})
        self.store.maintenance.end_reservations()

    def claim(self, notified_job_id: str, board: str) -> None:
        self.owners += 1
        owner = f"w{self.owners}"
        ready = {job for job in self._ready() if self._may_have(job, board)}
        busy = self._busy(board)
        answer = self._claim(notified_job_id, board, owner)
        if isinstance(answer, NoClaim):
            assert busy or not ready - self._tried()
            return
        job = answer.job_id
        assert job in ready
        beside = [
            self.all[other] for other in ready if self.all[other].target == self.all[job].target
        ]
        assert self.all[job].priority == max(spec.priority for spec in beside)
        assert answer.epoch > self.last_epoch
        assert self.all[job].target in (Target(device_id=board), Target(platform="p"))
        for held in [held for held in self.holder if held != job and self._board(held) == board]:
            assert held in self.overdue
            del self.holder[held]
            self.orphans.add(held)
        again = self._claim(notified_job_id, board, owner)
        assert again == answer
        self.last_epoch = answer.epoch
        self.holder[job] = answer
        self.granted[job] += 1
        self.claims.append((job, answer))

    @HAVE_CLAIMS
    @rule(pick=PICK)
    def renew(self, pick: int) -> None:
        job, held = self._held(pick)
        answer = self.store.jobs.renew(job, held.epoch, 60)
        assert (answer == "stale") == (self.holder.get(job) != held)
        if answer != "stale":
            self.overdue.discard(job)

    @HAVE_CLAIMS
    @rule(pick=PICK)
    def succeed(self, pick: int) -> None:
        job, held = self._held(pick)
        ours = self.holder.get(job) == held
        repeated = self.final.get(job) is JobState.SUCCEEDED and self._epoch(job) == held.epoch
        state = self.store.jobs.succeed(job, held.epoch, RESULT)
        assert state == (JobState.SUCCEEDED if ours or repeated else None)
        if ours:
            self._let_go(job)

    @HAVE_CLAIMS
    @rule(pick=PICK, fault=st.sampled_from(FAULTS))
    def fail(self, pick: int, fault: HostFault) -> None:
        job, held = self._held(pick)
        ours = self.holder.get(job) == held
        state = self.store.jobs.fail(job, held.epoch, fault)
        assert (state is not None) == ours
        if ours:
            self._let_go(job)
            if not fault.fault_class.retryable:
                assert state in {JobState.FAILED, JobState.CANCELLED}

    @HAVE_JOBS
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        job = self._job(pick)
        before = self.store.jobs.state(job)
        after = self.store.jobs.cancel(job, "somebody", "why not")
        self.delayed.discard(job)
        expected = JobState.CANCELLED if before is JobState.QUEUED else before
        assert after is expected

    # --- what time and the custodian do: the test moves a due time into the past, Redis' clock
    # stays

    @HAVE_JOBS
    @rule(pick=PICK)
    def lease_runs_out(self, pick: int) -> None:
        job = self._job(pick)
        leases = self.store.script.key("leases")
        self.store.script.redis.zadd(leases, {job: 0}, xx=True)
        if job in self.holder:
            self.overdue.add(job)

    @precondition(lambda self: self.overdue)
    @rule()
    def custodian_comes_by(self) -> None:
        expired = {found[0] for found in self.store.maintenance.expire_leases("custodian", 60, 1e9)}
        assert expired == self.overdue
        for job in expired:
            self._let_go(job)

    @HAVE_JOBS
    @rule(pick=PICK)
    def queue_time_runs_out(self, pick: int) -> None:
        job = self._job(pick)
        queued = self.store.jobs.state(job) is JobState.QUEUED
        self.store.script.redis.zadd(self.store.script.key("deadlines"), {job: 0}, xx=True)
        assert self.store.maintenance.expire_queued("custodian") == ([job] if queued else [])
        self.delayed.discard(job)

    @precondition(lambda self: self.holder)
    @rule(board=st.sampled_from(BOARDS), lock_domain=st.sampled_from(("d", "another")))
    def worker_restarts(self, board: str, lock_domain: str) -> None:
        freed = self.store.jobs.reclaim(board, lock_domain, "w")
        held = next((job for job in self.holder if self._board(job) == board), None)
        assert freed == (held if lock_domain == "d" else None)
        if freed is not None:
            self._let_go(freed)

    @precondition(lambda self: len(self.final) == len(self.all) == 3)
    @rule()
    def archive_and_forget(self) -> None:
        self.store.maintenance.archived(
            list(self.all), 0
        )  # those that have not ended are left alone
        assert self.store.maintenance.prune() == len(self.final)
        for job in list(self.final):
            for kept in (self.all, self.final, self.granted):
                kept.pop(job)

    # --- what must hold after every step

    @invariant()
    def every_job_is_in_one_place(self) -> None:
        """Nothing is lost: a job is ready, or leased, or ended; and its indexes agree."""
        redis, key = self.store.script.redis, self.store.script.key
        for job, spec in self.all.items():
            state = self.store.jobs.state(job)
            listed = [s for s in JobState if redis.zscore(key(f"jobs:{s}"), job) is not None]
            assert listed == [state]
            lane = spec.target.queue + (f"|{json.dumps(spec.require)}" if spec.require else "")
            ready = redis.zscore(key(f"ready:{lane}"), job) is not None
            assert ready == (state is JobState.QUEUED and job not in self.delayed)
            assert (redis.zscore(key(f"order:{lane}"), job) is not None) == ready
            assert (redis.zscore(key("delayed"), job) is not None) == (job in self.delayed)
            waits = redis.zscore(key("deadlines"), job) is not None
            assert waits == (state is JobState.QUEUED)
            assert (redis.zscore(key("leases"), job) is not None) == (state is JobState.RUNNING)
            assert (redis.zscore(key("unarchived"), job) is not None) == state.terminal

    @invariant()
    def holders_are_the_running_jobs(self) -> None:
        """One job, one holder; one board, one job."""
        running = {job for job in self.all if self.store.jobs.state(job) is JobState.RUNNING}
        assert running == set(self.holder) | self.orphans
        boards = [self._board(job) for job in self.holder]
        assert len(boards) == len(set(boards))

    @invariant()
    def ends_are_final_and_attempts_capped(self) -> None:
        """A terminal state never changes, and attempts are all there, at most as many as
        allowed."""
        for job, spec in self.all.items():
            state = self.store.jobs.state(job)
            assert self.final.get(job, state) is state
            if state.terminal:
                self.final[job] = state
            attempts = self.store.script.redis.llen(self.store.script.key(f"work:{job}:attempts"))
            assert attempts == self.granted[job] <= spec.max_attempts

    # --- helpers

    def _ready(self) -> set[str]:
        queued = {job for job in self.all if self.store.jobs.state(job) is JobState.QUEUED}
        return queued - self.delayed

    def _tried(self) -> set[str]:
        """Jobs that another board may be better for, because this one has failed them."""
        return {job for job in self.all if self.granted[job]}

    def _bound_to(self, board: str) -> set[str]:
        return {job for job in self.all if self.all[job].target.device_id == board}

    def _may_have(self, job: str, board: str) -> bool:
        """Whether target, tags and reservation let a board have a job."""
        spec = self.all[job]
        return (
            spec.target.device_id in {None, board}
            and (board == "b1" or not spec.require)
            and self.reserved.get(board, spec.user) == spec.user
        )

    def _busy(self, board: str) -> bool:
        return any(self._board(job) == board and job not in self.overdue for job in self.holder)

    def _job(self, pick: int) -> str:
        return list(self.all)[pick % len(self.all)]

    def _held(self, pick: int) -> tuple[str, Claim]:
        """Return a claim, the latest first."""
        return self.claims[-1 - pick % len(self.claims)]

    def _let_go(self, job: str) -> None:
        self.holder.pop(job, None)
        self.overdue.discard(job)
        self.orphans.discard(job)

    def _claim(self, notified_job_id: str, board: str, owner: str) -> Claim | NoClaim:
        return self.store.jobs.claim(
            notified_job_id,
            owner,
            device_id=board,
            platform="p",
            host="h",
            lock_domain="d",
            lease_s=60,
        )

    def _board(self, job: str) -> str:
        found = self.store.script.redis.hget(self.store.script.key(f"job:{job}"), "device")
        return found.decode()  # type: ignore[union-attr]

    def _epoch(self, job: str) -> int:
        found = self.store.script.redis.hget(self.store.script.key(f"job:{job}"), "epoch")
        return int(found or 0)


@pytest.mark.parametrize("max_examples", [80])
def test_store_keeps_its_invariants(store: LabStore, max_examples: int) -> None:
    """Calls in any order keep the invariants: one holder, final ends, fenced finishes, nothing
    lost."""

    class Machine(StoreMachine):
        pass

    Machine.store = store
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=max_examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
