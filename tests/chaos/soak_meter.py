"""What the soak reads off a lab: memory and descriptors of its processes, and what is in Redis."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from redis import Redis

from edgeprof.shared.redis.client import client
from tests.chaos.big_lab import BigLab

#: What tells one key of a kind from another: job, board, queue, doorbell's priority.
_NAMES = re.compile(r"(?<=[:.])[0-9a-hjkmnp-tv-z]{12}(?=:|$)|(null|gone)-\d+|\x06\x16\d")
#: How to ask for the length of what a key holds.
_LENGTHS = {
    "hash": "HLEN",
    "list": "LLEN",
    "set": "SCARD",
    "stream": "XLEN",
    "string": "EXISTS",
    "zset": "ZCARD",
}


@dataclass(frozen=True, slots=True)
class Process:
    """One process, as the kernel tells."""

    rss_bytes: int
    #: Without pages of files, which the kernel takes and gives as the whole machine needs memory.
    own_bytes: int
    fds: int
    threads: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A lab at one moment."""

    jobs: int
    at_s: float
    processes: Mapping[str, Process]
    redis_bytes: int
    keys: Mapping[str, int]
    log_bytes: int
    #: Time series that agents and scheduler serve.
    series: int


class Meter:
    """Reads one lab."""

    def __init__(self, lab: BigLab) -> None:
        self._lab = lab
        self._redis: Redis = client(str(lab.settings("meter").redis_url))

    def close(self) -> None:
        """Leave Redis alone."""
        self._redis.close()

    def sample(self, jobs: int, at_s: float) -> Sample:
        """Read everything, after so many jobs."""
        return Sample(
            jobs=jobs,
            at_s=at_s,
            processes={name: read(pid) for name, pid in self._pids().items()},
            redis_bytes=int(self._info("memory")["used_memory"]),
            keys=Counter(_NAMES.sub("*", key) for key in self._keys()),
            log_bytes=sum(
                path.stat().st_size for path in self._lab.folder.glob("*/logs/*") if path.is_file()
            ),
            series=sum(_series(address) for address in self._endpoints()),
        )

    def entries(self) -> dict[str, int]:
        """Return how much is in all keys of a kind: a hash that grows is one key all the time.

        A board's log is left out: it grows until it has its 500 lines, and then no more.
        """
        found: Counter[str] = Counter()
        for key in self._keys():
            kind = self._redis.type(key).decode()  # type: ignore[union-attr]
            if kind != "none" and not key.endswith(":log"):  # it went while we looked
                found[_NAMES.sub("*", key)] += int(self._redis.execute_command(_LENGTHS[kind], key))
        return dict(sorted(found.items()))

    def reachable(self) -> bool:
        """Whether everything that has metrics serves them by now."""
        try:
            return all(_series(address) for address in self._endpoints())
        except OSError:
            return False

    def rewriting(self) -> bool:
        """Whether Redis writes its log anew, for which it has a child."""
        info = self._info("persistence")
        return bool(info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"])

    def _endpoints(self) -> Iterator[str]:
        yield f"127.0.0.1:{self._lab.settings('scheduler').scheduler_port}"
        for host in self._lab.store.hosts.all():
            yield from (host.sessions_address, host.devices_address)

    def _pids(self) -> dict[str, int]:
        lab = self._lab
        pids = {"redis": lab.pid("redis"), "scheduler": lab.pid("scheduler")}
        for host in lab.boards:
            pids[f"agent {host}"] = lab.pid(host)
            pids |= {f"worker {board}": pid for board, pid in lab.workers(host).items()}
        return pids

    def _info(self, section: str) -> dict[str, Any]:
        return dict(self._redis.info(section))

    def _keys(self) -> list[str]:
        return [key.decode() for key in self._redis.scan_iter(count=1000)]


def read(pid: int) -> Process:
    """Read a process off /proc."""
    folder = Path(f"/proc/{pid}")
    status = dict(
        line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line
    )
    return Process(
        rss_bytes=_kib(status["VmRSS"]),
        own_bytes=_kib(status["RssAnon"]),
        fds=sum(1 for _ in (folder / "fd").iterdir()),
        threads=int(status["Threads"]),
    )


def _series(address: str) -> int:
    with urlopen(f"http://{address}/metrics", timeout=30) as answer:
        return sum(not line.startswith(b"#") for line in answer)


def _kib(words: str) -> int:
    return int(words.split(maxsplit=1)[0]) * 1024
