"""What an idle lab asks of Redis: commands a second and connections, by who sends them."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from redis import Redis

from benchmarks.harness import Result, agent, private_settings, process_tree, scheduler, until
from edgeprof.client import Lab

NAME = "idle"
BOARDS: Final = 60
#: A self-test when the board is first seen, and the first look at the store, are over by then.
_SETTLE_S: Final = 15.0
_WINDOW_S: Final = 30.0

#: A line of MONITOR: when, [database, client], the command, and up to four of its arguments.
_LINE: Final = re.compile(r'^[\d.]+ \[\d+ (\S+)\] "(\w+)"(?: "[^"]*" "1" "edgeprof:" "(\w+)")?')


def measure(*, quick: bool) -> Result:
    """Start an agent with native boards and a scheduler, and watch them do nothing.

    A row is a command that one kind of process sends, all its processes together; `inside` are the
    commands that a script runs in Redis. The last rows are the sums.
    """
    count, window_s = (4, 5.0) if quick else (BOARDS, _WINDOW_S)
    urls = [f"native://?uid={i:02x}" for i in range(1, count + 1)]
    with (
        private_settings() as settings,
        agent(settings, urls) as host,
        scheduler(settings) as custodian,
        Lab(settings=settings) as lab,
    ):
        until(lambda: lab.store.script.redis.exists("edgeprof:custodian"), "the scheduler leads")
        time.sleep(_SETTLE_S)
        redis = lab.store.script.redis
        connections = _connections(redis, {**_kinds(host.pid), custodian.pid: "scheduler"})
        redis.config_resetstat()
        sent, inside = _watch(redis, window_s, connections)
        told = sum(stat["calls"] for stat in redis.info("commandstats").values())
    by_kind = Counter(connections.values())
    rows: list[dict[str, Any]] = [
        {
            "who": who,
            "sends": what,
            "commands/s": round(number / window_s, 1),
            "inside/s": round(inside[who, what] / window_s, 1),
            "connections": "",
        }
        for (who, what), number in sent.most_common()
    ]
    for who, number in by_kind.most_common():
        mine = [key for key in sent if key[0] == who]
        rows.append(_sum(who, mine, sent, inside, window_s, number))
    rows.append(_sum("all", list(sent), sent, inside, window_s, sum(by_kind.values())))
    rows.append(
        {**rows[-1], "who": "INFO", "sends": "all", "commands/s": round(told / window_s, 1)}
    )
    return Result(NAME, f"An idle lab of {count} boards", rows)


def _sum(
    who: str,
    keys: list[tuple[str, str]],
    sent: Counter[tuple[str, str]],
    inside: Counter[tuple[str, str]],
    window_s: float,
    connections: int,
) -> dict[str, Any]:
    return {
        "who": who,
        "sends": "all",
        "commands/s": round(sum(sent[key] for key in keys) / window_s, 1),
        "inside/s": round(sum(inside[key] for key in keys) / window_s, 1),
        "connections": connections,
    }


def _watch(
    redis: Redis, window_s: float, connections: dict[str, str]
) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """Count what MONITOR shows: commands by sender, and those that their scripts ran."""
    sent: Counter[tuple[str, str]] = Counter()
    inside: Counter[tuple[str, str]] = Counter()
    key = ("another", "?")
    until_s = time.monotonic() + window_s
    with redis.monitor() as monitor:  # type: ignore[no-untyped-call]
        while time.monotonic() < until_s:
            if not monitor.connection.can_read(timeout=0.1):
                continue
            found = _LINE.match(monitor.connection.read_response().decode(errors="replace"))
            if found is None:
                continue
            if found[1] == "lua":  # it stands right behind the call of its script
                inside[key] += 1
                continue
            key = connections.get(found[1], "another"), f"{found[2]} {found[3] or ''}".strip()
            sent[key] += 1
    return sent, inside


def _kinds(agent_pid: int) -> dict[int, str]:
    """Return what each process of a host is, by its id."""
    return {pid: "agent" if pid == agent_pid else "workers" for pid in process_tree(agent_pid)}


def _connections(redis: Redis, kinds: dict[int, str]) -> dict[str, str]:
    """Return the kind of process at the other end of each connection, by its address."""
    inodes = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        inodes[fields[9]] = int(fields[1].rpartition(":")[2], 16)
    ports = {}
    for pid, kind in kinds.items():
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            found = re.match(r"socket:\[(\d+)\]", str(fd.readlink()))
            if found and found[1] in inodes:
                ports[inodes[found[1]]] = kind
    listed = (client["addr"] for client in redis.client_list())
    return {addr: ports[port] for addr in listed if (port := int(addr.rpartition(":")[2])) in ports}
