"""What the soak's samples say: figures, and whether anything grows."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tests.chaos import fairness
from tests.chaos.soak_meter import Sample
from tests.chaos.soak_run import Soaked

#: The smallest leak to be found: an id and a dict entry, say, kept for each job.
LEAK_BYTES = 200
#: What a process may grow by and none of it for the jobs: pages its allocator touches for the first
#: time.
NOISE = 0.005
#: Buffers of clients, and hash tables that Redis has not shrunk yet.
REDIS_NOISE_BYTES = 256 * 1024
_MIB = 1 << 20


def warm(laps: int) -> int:
    """Return the lap after which the lab counts as warm: a fifth of all, when caches and pools are
    full."""
    return max(1, laps // 5) - 1


def figures(seen: Soaked) -> dict[str, Any]:
    """Return what a table or JSON shows. Of each kind of process the one that grew most."""
    first, last = _compared(seen)
    most = max(seen.trace, key=lambda sample: sample.redis_bytes)
    found: dict[str, Any] = {
        "jobs": seen.submitted,
        "jobs/s": round(seen.rate, 1),
        "states": dict(seen.states),
        "lost": seen.lost,
        "double": seen.double,
        "ended otherwise than asked for": len(seen.odd),
        "watched jobs": seen.watched,
        "events read": seen.events,
    }
    for kind in sorted({_kind(name) for name in last.processes}):
        names = [name for name in last.processes if _kind(name) == kind]
        worst = max(names, key=lambda name: _growth(seen, name))
        found[f"{kind} ({len(names)})"] = _process(seen, worst)
    return found | {
        "Redis MiB": {
            "most": round(most.redis_bytes / _MIB, 2),
            "warm": round(first.redis_bytes / _MIB, 2),
            "end": round(last.redis_bytes / _MIB, 2),
        },
        "Redis keys": {
            "most": max(sum(sample.keys.values()) for sample in seen.trace),
            "warm": sum(first.keys.values()),
            "end": sum(last.keys.values()),
        },
        "Redis keys, most": _most(seen.trace),
        "Redis entries at the end": seen.entries[-1],
        "time series": {"warm": first.series, "end": last.series},
        "log bytes a job": round(last.log_bytes / last.jobs),
        "jobs a board, all busy": fairness.figures(seen.shares_busy),
        "jobs a board, all idle": fairness.figures(seen.shares_idle),
    }


def promises(seen: Soaked) -> dict[str, bool]:
    """Return what was promised, and whether it was kept."""
    first, last = _compared(seen)
    return {
        "all jobs ended as asked for, 0 lost, 0 double": seen.lost == seen.double == 0
        and not seen.odd,
        f"no process leaks {LEAK_BYTES} bytes a job": all(
            _growth(seen, name) < _limit(seen, name) for name in last.processes
        ),
        "threads as many as when warm, descriptors too but for a connection a thread": all(
            process.threads == first.processes[name].threads
            and _opened(first, last, name) <= _may_open(first, last, name)
            for name, process in last.processes.items()
        ),
        "Redis has the same keys after each lap, and as much in them": all(
            entries == seen.entries[0] for entries in seen.entries
        ),
        "Redis needs as much memory as when warm": last.redis_bytes - first.redis_bytes
        < REDIS_NOISE_BYTES,
        "as many time series as when warm": first.series == last.series,
    }


def _compared(seen: Soaked) -> tuple[Sample, Sample]:
    return seen.rests[warm(len(seen.rests))], seen.rests[-1]


def _process(seen: Soaked, name: str) -> dict[str, float]:
    first, last = (sample.processes[name] for sample in _compared(seen))
    return {
        "RSS MiB warm": round(first.rss_bytes / _MIB, 2),
        "end": round(last.rss_bytes / _MIB, 2),
        "KiB a 1,000 jobs": round(_slope(seen, name) * 1000 / 1024, 1),
        "grown KiB": round(_growth(seen, name) / 1024),
        "allowed": round(_limit(seen, name) / 1024),
        "fds warm": first.fds,
        "fds end": last.fds,
        "threads": last.threads,
    }


def _kind(name: str) -> str:
    return name.split(maxsplit=1)[0]


def _growth(seen: Soaked, name: str) -> int:
    first, last = _compared(seen)
    return last.processes[name].own_bytes - first.processes[name].own_bytes


def _limit(seen: Soaked, name: str) -> float:
    """Half of what the leak would come to in the process, which has seen its share of the jobs."""
    first, last = _compared(seen)
    alike = sum(_kind(other) == _kind(name) for other in last.processes)
    leaked = LEAK_BYTES * (last.jobs - first.jobs) / alike
    return leaked / 2 + NOISE * first.processes[name].own_bytes


def _slope(seen: Soaked, name: str) -> float:
    """Return the bytes a process grew by for each job of the lab, once warm."""
    rests = seen.rests[warm(len(seen.rests)) :]
    if len(rests) < 2:
        return 0.0
    grown = [float(sample.processes[name].own_bytes) for sample in rests]
    return statistics.linear_regression([sample.jobs for sample in rests], grown).slope


def _opened(first: Sample, last: Sample, name: str) -> int:
    return last.processes[name].fds - first.processes[name].fds


def _may_open(first: Sample, last: Sample, name: str) -> int:
    """A thread connects to Redis when, for the first time, another holds the connection that there
    is: that may be long after the warm-up. Redis has the other end of each."""
    if _kind(name) == "redis":
        return sum(max(0, _opened(first, last, other)) for other in last.processes if other != name)
    return last.processes[name].threads - 1


def _most(samples: Sequence[Sample]) -> Mapping[str, int]:
    """Return, by kind, the most keys there were at a time; those of which there is ever one are
    left out."""
    kinds = {kind for sample in samples for kind in sample.keys}
    found = {kind: max(sample.keys.get(kind, 0) for sample in samples) for kind in sorted(kinds)}
    return {kind: number for kind, number in found.items() if number > 1}
