"""Find the lab's Redis: EDGEPROF_REDIS_URL, or an embedded redis-server in the data folder.

The rule of the embedded server: the first command that needs it starts it; all commands of the same
data folder share it; it stays until `stop()` is called or the machine goes down; its jobs are in an
append-only file and are there again at the next start. It listens on loopback only, on a port
chosen once and remembered, behind a password that only the owner of the data folder can read.

While it lives it owns its files (`embedded.owner`), and nothing starts a second server on them,
whether or not it answers: one that is full, loading, stalled or stopped is still there. Two servers
on one append-only file would each lose the other's writes.

Rejected: tying its life to the command that started it. The next command would find its jobs
asleep, and workers would lose their store because somebody closed another terminal.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from redis import Redis

from edgeprof.shared.errors import StoreRefused, StoreUnavailable
from edgeprof.shared.redis import client as redis_client
from edgeprof.shared.redis.embedded import files, lost_files, probe, start
from edgeprof.shared.redis.embedded.diagnosis import LOOK_S, Patience, diagnose
from edgeprof.shared.redis.embedded.owner import Owner, owner
from edgeprof.shared.redis.embedded.probe import Condition
from edgeprof.shared.settings import Settings

#: How long a stop may take: the server writes out its file first. A process under SIGSTOP does
#: nothing.
STOP_LIMIT_S: Final = 10.0
STOPPED_LIMIT_S: Final = 2.0

_STARTS: Final = 3


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the lab's Redis is."""

    url: str = field(repr=False)  # with its password
    embedded: bool
    #: Whether this very call started the embedded server.
    started: bool = False


def locate(settings: Settings, answer_s: float = redis_client.SERVICE_ANSWER_S) -> Endpoint:
    """Return where Redis is, starting the embedded server when no URL is set and none lives.

    Raises StoreUnavailable or StoreRefused when the embedded server cannot be started, or lives and
    cannot be used, or says nothing for `answer_s`. One that is starting or loading is waited for,
    up to EDGEPROF_STORE_PATIENCE_S.
    """
    if settings.redis_url:
        return Endpoint(settings.redis_url, embedded=False)
    folder = files.open_folder(settings.data_dir)
    patience = Patience(settings.store_patience_s)
    starts = 0
    while True:
        living = _owner(folder)
        if living is None:
            again = start.port_was_taken(folder) or start.has_been_ready(folder)
            if starts and not (again and starts < _STARTS):
                raise start.failure(folder)
            starts += _start(folder)
            continue
        found = probe.find(folder, living, answer_s)
        if found and found.condition is Condition.READY:
            _mend(folder, living, found.server)
            return Endpoint(found.server.url, embedded=True, started=starts > 0)
        if _owner(folder) != living:
            continue  # it ended while it was asked
        if why := diagnose(folder, living, found, answer_s):
            raise why
        patience.wait(living, found)


def runs(settings: Settings) -> bool:
    """Whether the embedded server of this data folder runs. Makes nothing, starts nothing."""
    folder = settings.data_dir / "redis"
    return folder.is_dir() and _owner(folder) is not None


def connect(settings: Settings) -> Redis:
    """Return a client whose server has answered a PING."""
    endpoint = locate(settings)
    redis_client.greet(endpoint.url)
    return redis_client.client(endpoint.url)


def stop(settings: Settings, *, force: bool = False) -> bool:
    """Stop the embedded server of this data folder; its jobs stay on disk. False: none ran.

    Raises StoreRefused when its disk is full or its file is gone, because it would lose what it
    could not write, and StoreUnavailable when it does not end in time. force: kill it, even if that
    loses jobs.
    """
    folder = files.open_folder(settings.data_dir)
    if _owner(folder) is None:
        return False
    with files.start_lock(folder):
        living = _owner(folder)
        if living is None:
            return False
        if not living.seen:
            raise StoreUnavailable(
                f"the embedded Redis of {folder} runs {living}", hint=living.hint
            )
        found = None if force else probe.find(folder, living, redis_client.PERSON_ANSWER_S)
        if found and found.condition is Condition.READY:
            _mend(folder, living, found.server)
        if found and found.cannot_write:
            raise StoreRefused(
                f"the embedded Redis ({living}) was not stopped: its disk is full, and"
                f" {found.unwritten_bytes} bytes that it was told are only in its memory",
                hint=f"free space for {folder}, then stop it again;"
                f" kill -9 {living.pid} gives those bytes up",
            )
        _end(folder, living, signal.SIGKILL if force else signal.SIGTERM)
        return True


def _end(folder: Path, living: Owner, number: signal.Signals) -> None:
    """Signal the owner of the files, as the kernel names it, until there is none."""
    asked: set[int] = set()
    limit_s = STOPPED_LIMIT_S if living.stopped and number is signal.SIGTERM else STOP_LIMIT_S
    deadline_s = time.monotonic() + limit_s
    while (now := _owner(folder)) is not None:
        if now.pid not in asked:
            asked.add(now.pid)
            with files.explained(folder):
                os.kill(now.pid, number)
        if time.monotonic() > deadline_s:
            raise StoreUnavailable(
                f"the embedded Redis ({now}) was told to stop and has not in {limit_s:g} s:"
                f" it {now.condition}; it ends as soon as it can, and nothing starts before that",
                hint=now.hint,
            )
        time.sleep(LOOK_S)


def _mend(folder: Path, living: Owner, server: files.Server) -> None:
    if lost_files.lost(living, folder):
        with redis_client.store_errors(server.url), redis_client.client(server.url) as redis:
            lost_files.mend(redis, living, folder)


def _owner(folder: Path) -> Owner | None:
    with files.explained(folder / "server.lock"):
        return owner(folder)


def _start(folder: Path) -> bool:
    """Start the server unless another command was quicker; returns whether we did."""
    with files.start_lock(folder):
        if _owner(folder) is not None:
            return False
        start.start(folder)
        return True
