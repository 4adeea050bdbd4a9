"""A large lab at work: 60 boards, 50 000 jobs queued for them, and a person who looks."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from typing import Final

from benchmarks.harness import Result, agent, private_settings, scheduler
from edgeprof.client import Lab
from edgeprof.client.request import Request
from edgeprof.shared.settings import Settings

NAME = "crowd"
BOARDS: Final = 60
JOBS: Final = 50_000
_LOOKS: Final = 5
#: An imaginary board takes 0.02 s for a token.
_JOB_TOKENS: Final = 50


def measure(*, quick: bool) -> Result:
    """Queue jobs while imaginary boards take a second for each, and list them as a person does.

    Native boards would use up the host, which real ones leave alone.
    """
    boards, n = (4, 2000) if quick else (BOARDS, JOBS)
    urls = [f"null://?uid={i:02x}" for i in range(1, boards + 1)]
    with (
        private_settings() as settings,
        agent(settings, urls),
        scheduler(settings),
        Lab(settings=settings) as lab,
    ):
        request = Request(model="shakespeare-240k", platform="null", n_gen=_JOB_TOKENS)
        lab.submit_many([request] * boards)  # every board is busy from here on
        started_s = time.perf_counter()
        lab.submit_many([request] * n)
        submit_s = time.perf_counter() - started_s
        row = {"boards": boards, "jobs": n, "submit s": round(submit_s, 2)}
        for command in ("jobs", "boards"):
            looks = [_look(settings, command) for _ in range(_LOOKS)]
            row[f"edgeprof {command} s"] = round(statistics.median(looks), 2)
    return Result(NAME, "A large lab at work", [row])


def _look(settings: Settings, command: str) -> float:
    environment = {**os.environ, **settings.as_environment()}
    started_s = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "edgeprof.cli", command],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    return time.perf_counter() - started_s
