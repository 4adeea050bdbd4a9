"""What a finished job takes in Redis: before the archive has it, after, and ten minutes later."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.harness import Result, agent, private_settings
from edgeprof.client.job import Job
from edgeprof.client.lab import Lab
from edgeprof.shared.types.model import Quantization

NAME = "record"

#: Neither the model nor the prompt is that of the packing's dictionary.
_PROMPT = "Now is the winter of our discontent made glorious summer by this sun of York; " * 2
_RESULT_TTL_S = 600.0


def measure(*, quick: bool) -> Result:
    """Measure usual jobs (64 tokens generated, three repetitions), pack them, and read them."""
    n = 2 if quick else 20
    rows = []
    with (
        private_settings() as settings,
        agent(settings, ["native://?uid=01"]),
        Lab(settings=settings) as lab,
    ):
        for name, model, kind, prompt in (
            ("as the dictionary", "shakespeare-240k", Quantization.F32, None),
            ("another model and prompt", "shakespeare-1m", Quantization.Q8_0, _PROMPT),
        ):
            jobs = [
                lab.submit(model, quantization=kind, board="native-01", prompt=prompt)
                for _ in range(n)
            ]
            for job in jobs:
                job.wait(timeout=120)
            before, views = _kilobytes(lab, jobs), [job.view() for job in jobs]
            lab.store.maintenance.archived([job.id for job in jobs], _RESULT_TTL_S)
            if [job.view() for job in jobs] != views:
                raise AssertionError("a packed job reads otherwise than it was")
            after = _kilobytes(lab, jobs)
            later = _kilobytes(lab, jobs, events=False)
            rows.append(
                {"job": name, "finished kB": before, "archived kB": after, "later kB": later}
            )
    return Result(NAME, "A finished job in Redis (MEMORY USAGE of its keys)", rows)


def _kilobytes(lab: Lab, jobs: Sequence[Job], *, events: bool = True) -> float:
    redis = lab.store.script.redis
    keys = [key for job in jobs for key in redis.scan_iter(f"*{job.id}*", count=1000)]
    kept = [key for key in keys if events or not key.endswith(b":events")]
    return sum(redis.memory_usage(key, samples=0) or 0 for key in kept) / len(jobs) / 1000
