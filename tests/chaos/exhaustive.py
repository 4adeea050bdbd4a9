"""`python -m tests.chaos.exhaustive`: every order of calls of the job store's protocol, for small
labs.

No model beside the code that could differ from it: the real script on a real Redis, with a
controlled clock (due times are moved into the past). Breadth first over all sequences of claim,
renew, succeed, fail, lost lease, restart, cancel, expiry, custodian and archive, for two jobs on
two boards; a state that was seen before is not entered again. After every call the invariants of
docs/explanation/reliability.md are checked. Exit code 1 when one does not hold.

It is long because the world that the search walks through is one class.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from rich.progress import Progress

from edgeprof.shared.errors import LinkFault, ModelError
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.job_values import Claim, NewJob, NoClaim
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.store.packing import unpack
from edgeprof.shared.types.job import JobSpec, JobState
from edgeprof.shared.types.result import JobResult
from tests.chaos import report
from tests.support.jobs import make_spec
from tests.support.redis_process import RedisProcess

JOBS: Final = ("a", "b")
BOARDS: Final = ("x", "y")
RESULT: Final = cast(Any, JobResult).model_construct(cases=())  # the store does not look inside


@dataclass(frozen=True, slots=True)
class Step:
    """One call, by name and arguments; a claim that was granted is known by its number."""

    name: str
    subject: str = ""
    board: str = ""
    grant: int = -1

    def __str__(self) -> str:
        words = [self.name, self.subject, self.board, f"#{self.grant}" if self.grant >= 0 else ""]
        return " ".join(word for word in words if word)


class BrokenError(AssertionError):
    """Raised when an invariant does not hold after a sequence of steps."""


class World:
    """The store after some steps, and what a lab must remember of them to judge the next."""

    def __init__(self, store: LabStore, specs: dict[str, JobSpec]) -> None:
        self.store, self.specs = store, specs
        store.script.redis.flushall()
        store.jobs.submit([NewJob(spec, id=name) for name, spec in specs.items()], "model")
        self.grants: list[Claim] = []
        #: The grant that holds the job by the rules: the only one that may write.
        self.holder: dict[str, int] = {}
        self.ended: dict[str, JobState] = {}
        #: The grant whose result a job has.
        self.winner: dict[str, int] = {}

    def steps(self) -> Iterator[Step]:
        """Every call that somebody could make now, sensible or not."""
        yield from (Step("claim", job, board) for job in JOBS for board in BOARDS)
        for number in range(len(self.grants)):
            yield from (
                Step(name, grant=number) for name in ("renew", "succeed", "fault", "misfit")
            )
        yield from (Step(name, job) for name in ("cancel", "run out", "too late") for job in JOBS)
        yield from (Step("restart", board=board) for board in BOARDS)
        yield from (Step("custodian"), Step("archive"))

    def take(self, step: Step) -> None:
        """Make the call, and hold its answer against the rules."""
        jobs, maintenance = self.store.jobs, self.store.maintenance
        before = {job: jobs.state(job) for job in JOBS}
        match step.name:
            case "claim":
                self._claim(step, before)
            case "renew":
                held = self.grants[step.grant]
                answer = jobs.renew(held.job_id, held.epoch, 60)
                self._must((answer != "stale") == self._holds(step.grant), "only the holder renews")
            case "succeed":
                self._finish(step, lambda c: jobs.succeed(c.job_id, c.epoch, RESULT))
            case "fault":
                self._finish(step, lambda c: jobs.fail(c.job_id, c.epoch, LinkFault("noise")))
            case "misfit":
                self._finish(step, lambda c: jobs.fail(c.job_id, c.epoch, ModelError("big")))
            case "cancel":
                jobs.cancel(step.subject, "model", "asked")
            case "run out":
                self._past("leases", step.subject)
            case "too late":
                self._past("deadlines", step.subject)
                maintenance.expire_queued("model")
            case "restart":
                if freed := jobs.reclaim(step.board, "d", "model"):
                    self.holder.pop(freed, None)
            case "custodian":
                for job, *_ in maintenance.expire_leases("model", 60, 1e9):
                    self.holder.pop(job, None)
            case "archive":
                maintenance.archived([job for job in JOBS if jobs.state(job).terminal], 1e6)
        self._check(before)

    def _claim(self, step: Step, before: dict[str, JobState]) -> None:
        answer = self._ask(step, f"owner{len(self.grants)}")
        if isinstance(answer, NoClaim):
            return
        self._must(before[answer.job_id] is JobState.QUEUED, "only a queued job is granted")
        self._must(
            all(answer.epoch > held.epoch for held in self.grants), "epochs grow with every grant"
        )
        self._must(self._ask(step, f"owner{len(self.grants)}") == answer, "claims are idempotent")
        for job, number in list(self.holder.items()):  # its lease ran out unnoticed
            if self._board(self.grants[number]) == step.board:
                del self.holder[job]
        self.holder[answer.job_id] = len(self.grants)
        self.grants.append(answer)

    def _ask(self, step: Step, owner: str) -> Claim | NoClaim:
        return self.store.jobs.claim(
            step.subject, owner, device_id=step.board, platform="null", host="h", lock_domain="d",
            lease_s=60
        )  # fmt: skip

    def _finish(self, step: Step, write: Callable[[Claim], JobState | None]) -> None:
        held = self.grants[step.grant]
        ours = self._holds(step.grant)
        again = step.name == "succeed" and self.winner.get(held.job_id) == step.grant
        answer = write(held)
        self._must(
            answer is not None if ours else answer is None or again, "only the holder writes"
        )
        if ours:
            del self.holder[held.job_id]
            if step.name == "succeed" and answer is JobState.SUCCEEDED:
                self.winner[held.job_id] = step.grant

    def _check(self, before: dict[str, JobState]) -> None:
        redis, key, jobs = self.store.script.redis, self.store.script.key, self.store.jobs
        for job, spec in self.specs.items():
            state = jobs.state(job)
            if before[job].terminal:
                self._must(state is before[job], "an end is final")
            if state.terminal:
                self.ended[job] = state
            places = {
                "queue": redis.zscore(key(f"ready:{spec.target.queue}"), job) is not None,
                "lease": redis.zscore(key("leases"), job) is not None,
                "end": state.terminal,
            }
            where = {JobState.QUEUED: "queue", JobState.RUNNING: "lease"}.get(state, "end")
            self._must(
                [p for p, there in places.items() if there] == [where], "a job is in one place"
            )
            packed: Any = redis.get(key(f"work:{job}:packed"))
            bulk = unpack(packed) if packed else None
            tries = len(bulk.attempts) if bulk else redis.llen(key(f"work:{job}:attempts"))
            self._must(tries <= spec.max_attempts, "attempts are capped")
            kept = bulk.result if bulk else redis.exists(key(f"work:{job}:result"))
            self._must(bool(kept) == (state is JobState.SUCCEEDED), "a result for every success")
            self._must(bool(kept) == (job in self.winner), "and only of the holder")
        holders = [self._board(self.grants[number]) for number in self.holder.values()]
        self._must(len(holders) == len(set(holders)), "one board, one job")

    def _must(self, holds: bool, rule: str) -> None:
        if not holds:
            raise BrokenError(rule)

    def _holds(self, number: int) -> bool:
        return self.holder.get(self.grants[number].job_id) == number

    def _board(self, held: Claim) -> str:
        attempts = self.store.jobs.view(held.job_id).attempts
        return next(a.device_id for a in attempts if a.epoch == held.epoch)

    def _past(self, key: str, job: str) -> None:
        self.store.script.redis.zadd(self.store.script.key(key), {job: 0}, xx=True)

    def fingerprint(self) -> str:
        """Return what distinguishes this state from others: everything but times, and how often
        what was."""
        redis, key = self.store.script.redis, self.store.script.key
        epochs = sorted(held.epoch for held in self.grants)
        rows: list[Any] = [redis.hgetall(key("running_on")), redis.zrange(key("dead"), 0, -1)]
        for job, spec in self.specs.items():
            fields = ("state", "epoch", "device", "cancel", "avoid")
            record = [field or b"" for field in redis.hmget(key(f"job:{job}"), fields)]
            epoch = int(record[1])
            rows.append(
                (
                    record[0],
                    epochs.index(epoch) if epoch in epochs else -1,
                    record[2:],
                    redis.llen(key(f"work:{job}:attempts")),
                    redis.zscore(key("leases"), job) == 0,
                    redis.zrank(key(f"order:{spec.target.queue}"), job),
                    redis.zscore(key("prunable"), job) is not None,
                )
            )
        rows.append([(held.job_id, self._holds(n)) for n, held in enumerate(self.grants)])
        return repr(rows)

    def save(self) -> Saved:
        """Return everything there is to know."""
        redis = self.store.script.redis
        names = redis.keys("*")
        kept = self.grants[:], dict(self.holder), dict(self.ended), dict(self.winner)
        keys = [(name, redis.dump(name)) for name in names]
        return Saved(cast(Any, keys), kept)

    def restore(self, saved: Saved) -> None:
        """Be as it was."""
        with self.store.script.redis.pipeline(transaction=False) as pipe:
            pipe.flushall()
            for name, value in saved.keys:
                pipe.restore(name, 0, value)
            pipe.execute()
        grants, holder, ended, winner = saved.kept
        self.grants, self.holder = grants[:], dict(holder)
        self.ended, self.winner = dict(ended), dict(winner)


@dataclass(frozen=True, slots=True)
class Saved:
    """A world, to come back to."""

    keys: list[tuple[bytes, bytes]]
    kept: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """How far the search came, and the shortest way to a broken rule."""

    states: int
    calls: int
    depth: int
    complete: bool
    broken: str


def search(
    store: LabStore, *, depth: int, grants: int, on_state: Callable[[int], None] = lambda _: None
) -> Found:
    """Visit every state within `depth` calls and `grants` claims that were granted."""
    specs = {"a": make_spec(max_attempts=2), "b": make_spec(max_attempts=1, board="x")}
    world = World(store, specs)
    seen = {world.fingerprint()}
    ahead: deque[tuple[Saved, tuple[Step, ...]]] = deque([(world.save(), ())])
    calls, deepest = 0, 0
    while ahead:
        saved, path = ahead.popleft()
        if len(path) == depth:
            return Found(len(seen), calls, depth, complete=False, broken="")
        world.restore(saved)
        for step in list(world.steps()):
            if step.name == "claim" and len(world.grants) >= grants:
                continue
            calls += 1
            try:
                world.take(step)
            except BrokenError as error:
                way = " -> ".join(str(taken) for taken in (*path, step))
                return Found(
                    len(seen), calls, len(path) + 1, complete=False, broken=f"{error}: {way}"
                )
            mark = world.fingerprint()
            if mark not in seen:
                seen.add(mark)
                deepest = len(path) + 1
                ahead.append((world.save(), (*path, step)))
                on_state(len(seen))
            world.restore(saved)
    return Found(len(seen), calls, deepest, complete=True, broken="")


def main() -> int:
    """Run the campaign; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.exhaustive", description=__doc__)
    parser.add_argument("--depth", type=int, default=100, help="calls after each other")
    parser.add_argument("--grants", type=int, default=3, help="claims that are granted")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Progress() as bar:
        task = bar.add_task("states", total=None)
        redis = RedisProcess(Path(folder), "--appendonly", "no")
        redis.start()
        try:
            with LabStore.open(Settings(redis_url=redis.url)) as store:
                found = search(
                    store,
                    depth=options.depth,
                    grants=options.grants,
                    on_state=lambda n: bar.update(task, completed=n),
                )
        finally:
            redis.stop()
    figures = {
        "states": found.states,
        "calls checked": found.calls,
        "longest way to a new state": found.depth,
        "all reachable states visited": found.complete,
        "broken": found.broken or "nothing",
    }
    return report.show(
        "The store's protocol", figures, {"every invariant": not found.broken}, options.json
    )


if __name__ == "__main__":
    sys.exit(main())
