"""What a job costs a board's worker besides the board: CPU, and the idle time between two jobs."""

from __future__ import annotations

import itertools
import os
import secrets
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import Result, private_settings, until
from edgeprof.shared.queue import doorbell
from edgeprof.shared.store.job_values import Doorbell, NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.case import TestCase
from edgeprof.shared.types.job import JobSpec, JobState, Target
from edgeprof.shared.types.model import ModelRef, Quantization

NAME = "overhead"

_MODEL = ModelRef(
    name="m",
    sha256="0" * 64,
    size_bytes=1000,
    quantization=Quantization.F32,
    n_params=10,
    n_ctx_train=256,
    n_vocab=512,
)
_SPEC = JobSpec(
    model=_MODEL,
    target=Target(device_id="null-01"),
    cases=(TestCase(prompt_tokens=(1,), n_gen=1),),
    n_ctx=256,
)


def measure(*, quick: bool) -> Result:
    """Queue many jobs for one imaginary board, whose jobs only sleep."""
    n = 30 if quick else 300
    with private_settings() as settings, LabStore.open(settings) as store:
        command = [sys.executable, "-m", "edgeprof.workers.testing", '{"url": "null://?uid=01"}']
        environment = {**os.environ, **settings.as_environment()}
        with subprocess.Popen(
            command, env=environment, cwd=settings.data_dir.parent, stderr=subprocess.DEVNULL
        ) as worker:
            until(lambda: _online(store), "the board is online")
            before_s = _cpu_s(worker.pid)
            ids = _submit(store, n)
            until(lambda: store.jobs.state(ids[-1]) is JobState.SUCCEEDED, "the jobs are done")
            cpu_ms = 1000 * (_cpu_s(worker.pid) - before_s) / n
            attempts = sorted(
                (view.attempts[-1] for view in store.jobs.views(ids)), key=lambda a: a.started_s
            )
            worker.terminate()
    idle_ms = [
        1000 * (after.started_s - before.ended_s)
        for before, after in itertools.pairwise(attempts)
        if before.ended_s is not None
    ]
    row = {
        "jobs": n,
        "CPU ms": round(cpu_ms, 2),
        "idle p50 ms": round(statistics.median(idle_ms), 2),
        "idle p95 ms": round(statistics.quantiles(idle_ms, n=20)[-1], 2),
    }
    return Result(NAME, "A job on an imaginary board", [row])


def _online(store: LabStore) -> bool:
    return any(board.state is BoardState.ONLINE for board in store.boards.all())


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _submit(store: LabStore, n: int) -> list[str]:
    jobs = [
        NewJob(_SPEC, f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01") for _ in range(n)
    ]
    store.jobs.submit(jobs, "benchmark")
    queue, step = _SPEC.target.queue, doorbell.transport_priority(_SPEC.priority)
    store.doorbells.notify(
        [Doorbell(job.id, queue, job.traceparent, _SPEC.label) for job in jobs], step=step
    )
    return [job.id for job in jobs]
