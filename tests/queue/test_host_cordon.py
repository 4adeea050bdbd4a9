"""A host that fails jobs for its own reasons gets no more, and its jobs go elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeprof.shared.errors import Fault, HostFault
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import Owner
from edgeprof.shared.store.job_values import Claim, NewJob, NoClaim
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobSpec, JobState
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.host_checks import check_host, check_tools
from tests.support.board_infos import null_board

MakeSpec = Callable[..., JobSpec]
FULL = HostFault("no space left", code="cache_write")


def announce(store: LabStore, board: str, host: str) -> None:
    info = null_board(board).model_copy(update={"host": host})
    store.boards.announce(Owner(host=host, lock_domain=host, uid=board), info, 60)


def submit(store: LabStore, spec: JobSpec) -> str:
    job = NewJob(spec)
    store.jobs.submit([job], "test")
    return job.id


def claim(store: LabStore, notified_job_id: str, board: str, host: str) -> Claim | NoClaim:
    return store.jobs.claim(
        notified_job_id, f"{board}/{notified_job_id}", device_id=board, platform="null",
        host=host, lock_domain=host, lease_s=60
    )  # fmt: skip


def fail(store: LabStore, job: str, board: str, host: str, fault: Fault, most: int = 3) -> JobState:
    held = claim(store, job, board, host)
    assert isinstance(held, Claim), held
    state = store.jobs.fail(held.job_id, held.epoch, fault, most)
    assert state is not None
    return state


def test_next_attempt_is_on_another_host(store: LabStore, make_spec: MakeSpec) -> None:
    """The attempt after a host fault is on another host, however long that host is busy."""
    announce(store, "a1", "a")
    announce(store, "a2", "a")
    announce(store, "b1", "b")
    job = submit(store, make_spec())

    assert fail(store, job, "a1", "a", FULL) is JobState.QUEUED
    store.script.redis.hset(store.script.key(f"job:{job}"), "avoid_until_s", "1")
    assert claim(store, job, "a2", "a") == "better elsewhere"
    assert claim(store, job, "a1", "a") == "better elsewhere"
    assert isinstance(claim(store, job, "b1", "b"), Claim)


def test_lonely_host_tries_again(store: LabStore, make_spec: MakeSpec) -> None:
    """A host tries again itself where there is no other one, or the other is cordoned."""
    announce(store, "a1", "a")
    announce(store, "b1", "b")
    store.hosts.cordon("b", "test", "full")
    job = submit(store, make_spec())

    assert fail(store, job, "a1", "a", FULL) is JobState.QUEUED
    assert isinstance(claim(store, job, "a1", "a"), Claim)


def test_faults_in_a_row_cordon_the_host(store: LabStore, make_spec: MakeSpec) -> None:
    """Whichever of its boards they come from; the reason is the last one's."""
    for board in ("a1", "a2", "a3"):
        announce(store, board, "a")
        fail(store, submit(store, make_spec(board=board)), board, "a", FULL)

    assert store.hosts.cordoned() == {"a": "3 faults of the host in a row; the last: no space left"}
    assert {board.state for board in store.boards.all()} == {BoardState.QUARANTINED}
    assert claim(store, submit(store, make_spec()), "a1", "a") == "its host is cordoned"
    assert claim(store, submit(store, make_spec(board="a1")), "a1", "a") == "its host is cordoned"


def test_success_starts_the_count_again(store: LabStore, make_spec: MakeSpec, result: Any) -> None:
    """A host that now and then fails is no sick one."""
    announce(store, "a1", "a")
    for _ in range(3):
        for _ in range(2):
            fail(store, submit(store, make_spec(board="a1", max_attempts=1)), "a1", "a", FULL)
        held = claim(store, submit(store, make_spec(board="a1")), "a1", "a")
        assert isinstance(held, Claim)
        store.jobs.succeed(held.job_id, held.epoch, result)

    assert store.hosts.cordoned() == {}


@pytest.mark.parametrize("code", ["worker_stopped", "lease_lost", "internal", "board_claimed"])
def test_what_says_nothing_of_the_host_does_not_count(
    store: LabStore, make_spec: MakeSpec, code: str
) -> None:
    """Workers that were stopped, and bugs of ours, cordon nobody."""
    announce(store, "a1", "a")
    for _ in range(5):
        fail(
            store,
            submit(store, make_spec(board="a1", max_attempts=1)),
            "a1",
            "a",
            HostFault("h", code=code),
        )

    assert store.hosts.cordoned() == {}


def test_job_waits_for_its_cordoned_host(store: LabStore, make_spec: MakeSpec) -> None:
    """A job does not spend its last attempt on a host that is cordoned for it; it ends all the same
    if that host comes back sick again and again."""
    announce(store, "a1", "a")
    job = submit(store, make_spec(board="a1", max_attempts=2))
    states = []
    for _ in range(4):
        store.hosts.uncordon("a")
        states.append(fail(store, job, "a1", "a", FULL, most=1))

    assert states == [JobState.QUEUED] * 3 + [JobState.FAILED]


def test_sound_host_passes(settings: Settings) -> None:
    """Folders that are missing are made."""
    check_host(settings)
    check_tools(BoardConfig(url="x://", flash=("true", "{slot}")))


@pytest.mark.parametrize("folder", ["models", "slots"])
def test_every_folder_of_the_cache_is_looked_at(settings: Settings, folder: str) -> None:
    """Models in flash need the one, models in RAM the other."""
    settings.cache_dir.mkdir()
    (settings.cache_dir / folder).touch()

    with pytest.raises(HostFault, match=folder):
        check_host(settings)


@pytest.mark.parametrize("folder", ["cache_dir", "data_dir", "lock_dir"])
def test_folder_that_cannot_be_written_is_a_host_fault(settings: Settings, folder: str) -> None:
    """A folder that cannot be written is a host fault that names the folder and its setting."""
    path: Path = getattr(settings, folder)
    shutil.rmtree(path, ignore_errors=True)
    path.touch()

    with pytest.raises(HostFault, match=str(path)) as caught:
        check_host(settings)
    assert caught.value.blame == "host"
    assert caught.value.hint
    assert f"EDGEPROF_{folder.upper()}" in caught.value.hint


def test_missing_flash_tool_is_of_one_board(settings: Settings) -> None:
    """The host's other boards may have another, or need none."""
    with pytest.raises(HostFault, match="st-flush is not installed") as caught:
        check_tools(BoardConfig(url="x://", flash=("st-flush", "{slot}")))

    assert caught.value.blame == "board"
