"""Boards that get no jobs: drained by people, quarantined for their faults.

It is long because the ways into and out of a cordon are tested as one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeprof.shared.errors import (
    BoardFault,
    BoardNotFound,
    Fault,
    HostFault,
    LinkFault,
    ModelError,
    StoreUnavailable,
)
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import Owner
from edgeprof.shared.store.job_values import Claim, NewJob, NoClaim
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobSpec, JobState
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.health import Health, Verdict
from tests.support.board_infos import null_board
from tests.support.null_lab import Rig

MakeSpec = Callable[..., JobSpec]
MOST = 3


def announce(store: LabStore) -> Owner:
    owner = Owner(host="h", lock_domain="d", uid="b")
    store.boards.announce(owner, null_board(), 60)
    return owner


def claim(store: LabStore, spec: JobSpec, board: str = "b") -> Claim | NoClaim:
    job = NewJob(spec)
    store.jobs.submit([job], "test")
    return store.jobs.claim(
        job.id,
        f"w/{job.id}",
        device_id=board,
        platform="null",
        host="h",
        lock_domain="d",
        lease_s=60,
    )


def fail(store: LabStore, spec: JobSpec, fault: Fault) -> None:
    held = claim(store, spec)
    assert isinstance(held, Claim), held
    store.jobs.fail(held.job_id, held.epoch, fault, MOST)


def state(store: LabStore) -> BoardState:
    (board,) = store.boards.all()
    return board.state


def test_drained_board_takes_no_job(store: LabStore, make_spec: MakeSpec) -> None:
    """A drained board takes no job of its platform nor its own, and its state gives the reason."""
    announce(store)
    store.boards.cordon("b", BoardState.DRAINING, "ann", "new firmware")

    assert claim(store, make_spec()) == "draining"
    assert claim(store, make_spec(board="b")) == "draining"
    (board,) = store.boards.all()
    assert (board.state, board.reason) == (BoardState.DRAINING, "new firmware")


def test_quarantined_board_takes_its_own_jobs_only(store: LabStore, make_spec: MakeSpec) -> None:
    """A quarantined board takes only jobs for this very board, which help to find what ails it."""
    announce(store)
    store.boards.cordon("b", BoardState.QUARANTINED, "ann", "odd numbers")

    assert claim(store, make_spec()) == "quarantined"
    assert isinstance(claim(store, make_spec(board="b")), Claim)


def test_resumed_board_takes_jobs(store: LabStore, make_spec: MakeSpec) -> None:
    """A resumed board takes jobs, and its history has both the drain and the resume."""
    announce(store)
    store.boards.cordon("b", BoardState.DRAINING, "ann", "new firmware")
    store.boards.resume("b", "bob", "done")

    assert isinstance(claim(store, make_spec()), Claim)
    told = [(change.state, change.actor, change.reason) for change in store.boards.history("b")]
    assert told == [
        (BoardState.DRAINING, "ann", "new firmware"),
        (BoardState.ONLINE, "bob", "done"),
    ]


@pytest.mark.parametrize("kind", [BoardFault, LinkFault])
def test_faults_in_a_row_quarantine(
    store: LabStore, make_spec: MakeSpec, kind: type[Fault]
) -> None:
    """The third one does, and the reason is the last fault's."""
    announce(store)
    for _ in range(MOST - 1):
        fail(store, make_spec(), kind("it hangs", code="hung"))
    assert state(store) is BoardState.ONLINE
    fail(store, make_spec(), kind("it hangs", code="hung"))

    assert state(store) is BoardState.QUARANTINED
    (change,) = store.boards.history("b")
    assert "3 faults in a row" in change.reason
    assert "it hangs" in change.reason


def test_success_in_between_starts_the_count_again(
    store: LabStore, make_spec: MakeSpec, result: Any
) -> None:
    """A board that fails now and then is noisy, not broken."""
    announce(store)
    for _ in range(MOST):
        fail(store, make_spec(), BoardFault("it hangs", code="hung"))
        if state(store) is BoardState.QUARANTINED:
            pytest.fail("quarantined in spite of a success")
        held = claim(store, make_spec())
        assert isinstance(held, Claim)
        store.jobs.succeed(held.job_id, held.epoch, result)

    assert state(store) is BoardState.ONLINE


@pytest.mark.parametrize(
    "fault", [HostFault("h", code="internal"), ModelError("m", code="no_memory")]
)
def test_faults_of_others_do_not_count(store: LabStore, make_spec: MakeSpec, fault: Fault) -> None:
    """A bug of ours, or a model that does not fit, says nothing about the board."""
    announce(store)
    for _ in range(2 * MOST):
        fail(store, make_spec(), fault)

    assert state(store) is BoardState.ONLINE


def test_cancelled_attempts_do_not_count(store: LabStore, make_spec: MakeSpec) -> None:
    """Stopped because somebody asked: nobody's fault."""
    announce(store)
    for _ in range(MOST):
        held = claim(store, make_spec())
        assert isinstance(held, Claim)
        store.jobs.cancel(held.job_id, "ann", "changed her mind")
        store.jobs.fail(held.job_id, held.epoch, BoardFault("stopped"), MOST)

    assert state(store) is BoardState.ONLINE


def test_board_that_is_away_is_offline_first(store: LabStore) -> None:
    """A board that is away is shown as offline, even if it is drained as well."""
    owner = announce(store)
    store.boards.cordon("b", BoardState.DRAINING, "ann", "new firmware")
    store.boards.withdraw(owner, null_board(), "unplugged")

    assert state(store) is BoardState.OFFLINE


def test_unknown_board_is_an_error(store: LabStore) -> None:
    """A typo drains nothing, and says so."""
    with pytest.raises(BoardNotFound, match="no board 'x'"):
        store.boards.cordon("x", BoardState.DRAINING, "ann", "")


@pytest.mark.e2e
def test_passed_self_test_brings_a_board_back(rig: Rig, tmp_path: Path) -> None:
    """A quarantined board comes back by a passed self-test and no sooner, with a line in its
    history."""
    sick = tmp_path / "sick"
    rig.start_worker("01", f"&sick={sick}", selftest_quarantine_interval_s=0.2)
    rig.until_board("null-01", BoardState.ONLINE)
    sick.touch()
    rig.store.boards.cordon("null-01", BoardState.QUARANTINED, "test", "faults")
    rig.wait_until(
        lambda: rig.store.boards.history("null-01")[-1].reason == "failed: wrong answer",
        "a self-test has failed",
    )
    rig.until_board("null-01", BoardState.QUARANTINED)
    sick.unlink()

    rig.until_board("null-01", BoardState.ONLINE)
    assert rig.store.boards.history("null-01")[-1].actor == "self-test"


@pytest.mark.e2e
def test_sick_board_is_quarantined_at_first_sight(rig: Rig, tmp_path: Path) -> None:
    """A sick board is quarantined before its first job: its worker tests it when it starts."""
    sick = tmp_path / "sick"
    sick.touch()
    rig.start_worker("01", f"&sick={sick}")

    rig.until_board("null-01", BoardState.QUARANTINED)
    (change,) = rig.store.boards.history("null-01")
    assert (change.actor, change.reason) == ("self-test", "failed: wrong answer")


@pytest.mark.e2e
def test_idle_board_is_tested_from_time_to_time(rig: Rig, tmp_path: Path) -> None:
    """One that falls sick is quarantined without a job's help."""
    sick = tmp_path / "sick"
    rig.start_worker("01", f"&sick={sick}", selftest_routine_interval_s=0.2)
    rig.until_board("null-01", BoardState.ONLINE)
    sick.touch()

    rig.until_board("null-01", BoardState.QUARANTINED)


def test_drained_board_that_is_sick_stays_drained(store: LabStore, settings: Settings) -> None:
    """A drained board that is sick stays drained, else a later passed self-test would give it
    jobs."""
    announce(store)
    store.boards.cordon("b", BoardState.DRAINING, "ann", "new firmware")

    assert verdict(store, settings, sick) is Verdict.FAILED
    assert verdict(store, settings, passing) is Verdict.PASSED
    assert [change.actor for change in store.boards.history("b")] == ["ann"]


def test_sick_board_stays_quarantined_and_says_why_again(
    store: LabStore, settings: Settings
) -> None:
    """Each failure is in its history; passing ends it."""
    announce(store)

    assert verdict(store, settings, sick) is Verdict.FAILED
    assert verdict(store, settings, sick) is Verdict.FAILED
    assert state(store) is BoardState.QUARANTINED
    assert verdict(store, settings, passing) is Verdict.PASSED
    told = [(change.actor, change.reason) for change in store.boards.history("b")]
    assert told == [("self-test", "failed: bad RAM")] * 2 + [("self-test", "passed")]


def test_hosts_trouble_cordons_the_host_and_no_board(store: LabStore, settings: Settings) -> None:
    """A disk that is full says nothing about the board, and lets none of the host's boards work."""
    announce(store)

    def full() -> None:
        raise HostFault("no space left", code="disk_full")

    assert verdict(store, settings, full) is Verdict.FAILED
    assert store.boards.history("b") == []
    assert store.hosts.cordoned() == {"h": "no space left"}
    assert state(store) is BoardState.QUARANTINED
    (board,) = store.boards.all()
    assert board.reason == "host h is cordoned: no space left"
    assert verdict(store, settings, passing) is Verdict.PASSED
    assert store.hosts.cordoned() == {}
    assert state(store) is BoardState.ONLINE


def test_board_whose_tool_is_missing_gets_no_job_at_all(
    store: LabStore, settings: Settings, make_spec: MakeSpec
) -> None:
    """A board whose tool the host lacks gets no job, not even its own; the host's other boards go
    on."""
    announce(store)

    def no_tool() -> None:
        raise HostFault("no such program: st-flash", code="no_flash_tool")

    assert verdict(store, settings, no_tool) is Verdict.FAILED
    assert store.hosts.cordoned() == {}
    assert store.boards.history("b")[-1].reason == "failed: no such program: st-flash"
    assert claim(store, make_spec(board="b")) == "quarantined"
    assert isinstance(claim(store, make_spec(), "another"), Claim)
    assert verdict(store, settings, passing) is Verdict.PASSED
    assert isinstance(claim(store, make_spec(board="b")), Claim)


def test_board_is_not_tested_while_the_store_is_away(store: LabStore, settings: Settings) -> None:
    """A board is not tested while the store is away, which says nothing about the board."""
    announce(store)

    def away() -> None:
        raise StoreUnavailable("no Redis")

    assert verdict(store, settings, away) is Verdict.NOT_TESTED
    assert store.boards.history("b") == []


def passing() -> None:
    """Find nothing wrong."""


def sick() -> None:
    raise BoardFault("bad RAM", code="memory_pattern")


def verdict(store: LabStore, settings: Settings, test: Callable[[], None]) -> Verdict:
    """Test the board of announce(), which answers again after each failed test."""
    health = Health(BoardConfig(url="x://"), settings, null_board(), store)
    return health.self_test(test, reopen=lambda: True)


@pytest.mark.e2e
def test_broken_board_is_quarantined_and_another_does_the_job(
    rig: Rig, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """A board that fails three times is quarantined, and the job ends on another, with real
    workers."""
    rig.start_scheduler()
    sick = tmp_path / "sick"
    rig.start_worker("01", f"&sick={sick}", quarantine_after=1)
    rig.until_board("null-01", BoardState.ONLINE)
    sick.touch()
    job = rig.submit(make_spec(tags={"fault": "link", "faults": "1"}))
    rig.until_board("null-01", BoardState.QUARANTINED)
    rig.start_worker("02")

    job.wait(timeout=60)

    view = job.view()
    assert view.state is JobState.SUCCEEDED
    assert [attempt.device_id for attempt in view.attempts] == ["null-01", "null-02"]


@pytest.mark.e2e
@pytest.mark.parametrize(("ails", "code"), [(False, 0), (True, 1)], ids=["well", "sick"])
def test_board_is_tested_on_demand(rig: Rig, tmp_path: Path, ails: bool, code: int) -> None:
    """`edgeprof boards test` tells in its exit code what the board's worker found."""
    sick = tmp_path / "sick"
    rig.start_worker("01", f"&sick={sick}")
    rig.until_board("null-01", BoardState.ONLINE)
    if ails:
        sick.touch()

    done = subprocess.run(
        [sys.executable, "-m", "edgeprof.cli", "boards", "test", "null-01"],
        check=False,
        env={**os.environ, **rig.settings.as_environment()},
        capture_output=True,
        text=True,
    )

    assert done.returncode == code, done.stderr
    assert ("self-test failed: wrong answer" if ails else "self-test passed") in done.stderr
    rig.until_board("null-01", BoardState.QUARANTINED if ails else BoardState.ONLINE)


@pytest.mark.e2e
def test_held_board_leaves_doorbells_to_others(rig: Rig, make_spec: MakeSpec) -> None:
    """A drained board stops listening; the doorbell that it left is heard when it is resumed."""
    rig.start_workers("01")
    rig.store.boards.cordon("null-01", BoardState.DRAINING, "test", "new firmware")
    spec = make_spec()
    job = rig.submit(spec, notify=False)
    left = 0

    def doorbell_stays() -> bool:
        nonlocal left
        left = left + 1 if rig.store.doorbells.waiting(spec.target.queue) else 0
        if left == 0:
            rig.notify(job.id, spec)
        return left > 20

    rig.wait_until(doorbell_stays, "the drained board has stopped listening")
    rig.store.boards.resume("null-01", "test", "done")

    assert job.wait(timeout=60).state is JobState.SUCCEEDED
