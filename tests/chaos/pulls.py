"""A board pulled in the middle of a job, again and again: the job ends once, and how long that
took."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgeprof.client import Lab
from edgeprof.client.job import Job
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobState
from tests.chaos.board_lab import board_lab, until
from tests.support.pty_board import PtyBoard

#: 150 KB to upload, 1.6 s at this rate: the load phase is there to be hit.
_MODEL: Final = "shakespeare-240k"
_LINE_RATE: Final = 921_600
_MOMENTS: Final = ("claimed", "load", "warmup", "prefill", "decode")
_IDLE_EVERY: Final = 4


@dataclass(frozen=True)
class Pull:
    """What one pull did; seconds, None where it does not apply (an idle board has no job)."""

    moment: str
    offline_s: float
    again_s: float | None = None
    replugged_s: float | None = None
    state: JobState | None = None
    #: Class and code of the attempts that failed.
    faults: tuple[str, ...] = ()
    successes: int = 0
    ends: int = 0

    @property
    def kept(self) -> bool:
        """Whether the job succeeded, once, after attempts that blame cable, board or host."""
        if self.moment == "idle":
            return True
        retryable = all(fault.split("/")[0] in {"link", "board", "host"} for fault in self.faults)
        once = (self.successes, self.ends) == (1, 1)
        return self.state is JobState.SUCCEEDED and once and retryable and bool(self.faults)


def pull_boards(
    n: int, *, boards: int, seed: int = 1, on_pull: Callable[[], object] = lambda: None
) -> list[Pull]:
    """Pull n times from a job, and a quarter as often from an idle board, spread over some
    boards."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ptys = [PtyBoard(Path(folder), f"b{i:03x}", _LINE_RATE) for i in range(boards)]
        for board in ptys:
            stack.enter_context(board)
        settings = stack.enter_context(board_lab([str(board.path) for board in ptys]))
        pool = stack.enter_context(ThreadPoolExecutor(boards))
        lanes = [
            pool.submit(_lane, board, settings, random.Random(f"{seed} {i}"), n_here, on_pull)
            for i, board in enumerate(ptys)
            if (n_here := len(range(i, n, boards)))
        ]
        return [pull for lane in lanes for pull in lane.result()]


def _lane(
    board: PtyBoard,
    settings: Settings,
    choice: random.Random,
    n: int,
    on_pull: Callable[[], object],
) -> list[Pull]:
    pulls = []
    store = LabStore.open(settings)
    with Lab(settings=settings) as lab:
        for i in range(n):
            _until_shown(store, board, BoardState.ONLINE)
            pulls.append(_pull_busy(lab, store, board, choice.choice(_MOMENTS)))
            if i % _IDLE_EVERY == 0:
                _until_shown(store, board, BoardState.ONLINE)
                pulls.append(_pull_idle(store, board))
            on_pull()
    store.close()
    return pulls


def _pull_busy(lab: Lab, store: LabStore, board: PtyBoard, wanted: str) -> Pull:
    job = lab.submit(
        _MODEL, board=board.device_id, quantization="Q4_0", n_prompt=32, n_gen=64,
        warmup=20, repetitions=80,
    )  # fmt: skip
    moment = _until_moment(job, wanted)
    pulled_s = time.monotonic()
    board.pull()
    offline_s = _until_shown(store, board, BoardState.OFFLINE) - pulled_s
    board.plug_in()
    plugged_s = time.monotonic()
    again_s = until(lambda: len(job.view().attempts) > 1, f"{job} runs again")
    view = job.wait(timeout=120)
    return Pull(
        moment,
        offline_s,
        again_s - pulled_s,
        again_s - plugged_s,
        view.state,
        tuple(f"{a.fault_class}/{a.code}" for a in view.attempts if a.fault_class),
        sum(a.fault_class is None for a in view.attempts),
        sum(JobState(line.after).terminal for line in job.history()),
    )


def _pull_idle(store: LabStore, board: PtyBoard) -> Pull:
    pulled_s = time.monotonic()
    board.pull()
    offline_s = _until_shown(store, board, BoardState.OFFLINE) - pulled_s
    board.plug_in()
    return Pull("idle", offline_s)


def _until_shown(store: LabStore, board: PtyBoard, state: BoardState) -> float:
    return until(
        lambda: any(
            b.device_id == board.device_id and b.state is state for b in store.boards.all()
        ),
        f"{board.device_id} is {state}",
    )


def _until_moment(job: Job, wanted: str) -> str:
    """Wait until the job is so far; returns how far that is, since progress is told some times a
    second only."""
    for event in job.events(timeout=60):
        seen = "claimed" if event.fields.get("state") == "running" else event.fields.get("phase")
        if seen in _MOMENTS and _MOMENTS.index(seen) >= _MOMENTS.index(wanted):
            return seen
    view = job.view()
    raise RuntimeError(f"{job} ended before it came to {wanted}: {view.state}, {view.reason}")
