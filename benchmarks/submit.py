"""Submit rate, single and bulk, against raw Celery apply_async and RQ's enqueue and enqueue_many.

They do different things: a submit checks each job, writes its record and sends a doorbell, while
Celery and RQ write a message.
"""

from __future__ import annotations

from dataclasses import replace

import rq
from redis import Redis

from benchmarks.harness import Result, interleaved, private_settings, rate
from edgeprof.client import Lab
from edgeprof.client.request import Request
from edgeprof.shared.queue.celery_app import make_app

NAME = "submit"


def nothing(job_id: str) -> None:
    """The task that is enqueued with RQ; no worker runs it."""


def measure(*, quick: bool) -> Result:
    """Enqueue in each way, in turn, onto one Redis."""
    n, rounds = (2000, 3) if quick else (10_000, 5)
    singles = n // 20
    with private_settings() as settings, Lab(settings=settings) as lab:
        assert settings.redis_url is not None
        app = make_app(settings.redis_url)
        task = app.task(name="bench.nothing")(nothing)
        queue = rq.Queue("bench", connection=Redis.from_url(settings.redis_url))
        request = Request(model="shakespeare-240k", platform="none", wait_for_board=True)
        different = [replace(request, tags={"number": str(i)}) for i in range(n)]
        lab.submit_many([request])  # the model's file is in the store from here on

        def rq_bulk() -> None:
            queue.enqueue_many([rq.Queue.prepare_data(nothing, (str(i),)) for i in range(n)])

        def one_by_one() -> None:
            for _ in range(singles):
                lab.submit_many([request])

        def celery() -> None:
            for i in range(singles):
                task.apply_async((str(i),), queue="bench")

        def rq_single() -> None:
            for i in range(singles):
                queue.enqueue(nothing, str(i))

        figures = interleaved(
            {
                "Celery apply_async": lambda: rate(celery, singles),
                "RQ enqueue": lambda: rate(rq_single, singles),
                "Lab.submit": lambda: rate(one_by_one, singles),
                "RQ enqueue_many": lambda: rate(rq_bulk, n),
                "Lab.submit_many": lambda: rate(lambda: lab.submit_many([request] * n), n),
                "Lab.submit_many, all different": lambda: rate(
                    lambda: lab.submit_many(different), n
                ),
            },
            rounds,
        )
    base = figures["Celery apply_async"]
    rows = [
        {"way": way, "jobs/s": round(value), "times apply_async": round(value / base, 2)}
        for way, value in figures.items()
    ]
    return Result(NAME, f"Submitting {n} jobs, median of {rounds} interleaved rounds", rows)
