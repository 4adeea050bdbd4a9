"""Memory and keys over the jobs of a soak, as a picture."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.soak_run import Soaked


def plot(seen: Soaked, path: Path) -> None:
    """Draw each process' memory against its first sample, and Redis' keys and memory."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 8), layout="constrained")
    memory, keys = figure.subplots(2, sharex=True)
    jobs = [sample.jobs for sample in seen.rests]
    first = seen.rests[0].processes
    for name in first:
        grown = [(s.processes[name].own_bytes - first[name].own_bytes) / 1024 for s in seen.rests]
        memory.plot(jobs, grown, "o-", markersize=3, label=name)
    memory.set(title="Soak: at rest after each lap", ylabel="own memory since the first lap, KiB")
    memory.legend(fontsize="small")
    during = [sample.jobs for sample in seen.trace]
    keys.plot(during, [sum(s.keys.values()) for s in seen.trace], linewidth=0.8, label="keys")
    keys.plot(jobs, [sum(s.keys.values()) for s in seen.rests], "o", label="keys at rest")
    keys.set(xlabel="jobs", ylabel="keys in Redis")
    size = keys.twinx()
    size.plot(jobs, [s.redis_bytes / 2**20 for s in seen.rests], "k^", label="memory at rest")
    size.set(ylabel="Redis' memory, MiB", ylim=(0, None))
    keys.legend(loc="upper left", fontsize="small")
    size.legend(loc="upper right", fontsize="small")
    figure.savefig(path, dpi=150)
