"""Boards that hang, reboot, babble, answer wrongly, run out of memory: what the job's record says
of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from edgeprof.client import Lab
from edgeprof.shared.types.job import JobState
from tests.chaos.board_lab import board_lab

#: At a token that the self-test does not reach. Sickness -> the native port's FAULT, and the class
#: and code that it must end in.
SICKNESSES: Final = {
    "hangs": ("1:12", "board/hung"),
    "reboots": ("4:12", "board/rebooted"),
    "babbles": ("8:12", "board/hung"),
    "answers wrongly": ("7:12", "model/wrong_output"),
    "runs out of memory": ("6:0", "model/no_memory"),
}


@dataclass(frozen=True)
class Diagnosis:
    """How the job on a sick board ended."""

    sickness: str
    state: JobState
    attempts: tuple[str, ...]
    expected: str

    @property
    def kept(self) -> bool:
        """Whether it failed after one attempt, with the right class and code."""
        return self.state is JobState.FAILED and self.attempts == (self.expected,)


def diagnose(
    sicknesses: Sequence[str] = tuple(SICKNESSES), on_job: Callable[[], object] = lambda: None
) -> list[Diagnosis]:
    """Give a job to a board of each sickness, all at once."""
    urls = [f"native://?uid=5c{i:02x}&fault={SICKNESSES[s][0]}" for i, s in enumerate(sicknesses)]
    with board_lab(urls) as settings, Lab(settings=settings) as lab:
        jobs = [
            lab.submit("shakespeare-240k", board=f"native-5c{i:02x}", n_gen=16, max_attempts=1)
            for i in range(len(urls))
        ]
        found = []
        for sickness, job in zip(sicknesses, jobs, strict=True):
            view = job.wait(timeout=120)
            attempts = tuple(f"{a.fault_class}/{a.code}" for a in view.attempts)
            found.append(Diagnosis(sickness, view.state, attempts, SICKNESSES[sickness][1]))
            on_job()
    return found
