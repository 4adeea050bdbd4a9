"""Live bars: one a board, and one for all jobs. On a pipe, each job that ends prints a line."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from edgeprof.cli.render.follow import Running, Snapshot
from edgeprof.client.humanize import human_expected
from edgeprof.client.waits import hindered
from edgeprof.shared.types.board import BoardInfo, BoardState
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobView

#: On a pipe: longest silence while jobs run.
_HEARTBEAT_S = 10.0


class Live:
    """Draws snapshots (follow.py) on stderr, because stdout is for data."""

    def __init__(self, console: Console, n_jobs: int | None, boards: Sequence[BoardInfo]) -> None:
        self._console = console
        self._n_jobs = n_jobs
        self._n_ended = 0
        self._said_s = time.monotonic()
        self._trouble: str | None = None
        self._waits: set[str | None] = set()
        self._bars: dict[str, TaskID] = {}
        self._jobs_shown: dict[str, str] = {}
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._all = self.progress.add_task("all jobs", total=n_jobs, note="")
        for board in boards:
            self._bar(board.device_id, _named(board))

    def show(self, snapshot: Snapshot) -> None:
        """Update the bars, and print a line for each job that ended."""
        if snapshot.trouble != self._trouble:
            self._trouble = snapshot.trouble
            self._say(f"{snapshot.trouble}; trying on" if snapshot.trouble else "Redis is back")
        if snapshot.trouble:
            return
        for view in snapshot.ended:
            self._n_ended += 1
            self._say(self._ended_line(view))
        queued = len(snapshot.queued)
        note = f"{self._n_ended} ended, {len(snapshot.running)} running, {queued} queued"
        self.progress.update(self._all, completed=self._n_ended, note=note)
        boards = {board.device_id: board for board in snapshot.boards}
        busy = {running.device_id: running for running in snapshot.running}
        for device_id, running in busy.items():
            self._draw(device_id, boards.get(device_id), running)
        for device_id in self._bars.keys() - busy.keys():
            self._idle(device_id, boards.get(device_id))
        self._say_waits(snapshot)
        if time.monotonic() - self._said_s > _HEARTBEAT_S and not self._console.is_terminal:
            self._say(note + _where(snapshot.running))

    def _bar(self, device_id: str, description: str) -> TaskID:
        if device_id not in self._bars:
            self._bars[device_id] = self.progress.add_task(description, total=100, note="idle")
        return self._bars[device_id]

    def _draw(self, device_id: str, board: BoardInfo | None, running: Running) -> None:
        bar = self._bar(device_id, _named(board) if board else device_id)
        if self._jobs_shown.get(device_id) != running.view.id:
            self._jobs_shown[device_id] = running.view.id
            self.progress.reset(bar)
        model = running.view.model
        words = f"{model.name} {model.made_as} {running.phase}{_expected(running.view)}"
        percent = running.percent
        self.progress.update(
            bar, completed=percent or 0.0, total=None if percent is None else 100, note=words
        )

    def _idle(self, device_id: str, board: BoardInfo | None) -> None:
        note = "idle" if board is None or board.state is BoardState.ONLINE else str(board.state)
        self.progress.update(self._bars[device_id], completed=0, total=100, note=note)

    def _say_waits(self, snapshot: Snapshot) -> None:
        """Print what queued jobs wait for, once, where no board can take them as it is now."""
        reasons = {hindered(view, snapshot.boards) for view in snapshot.queued} - {None}
        if reasons != self._waits:
            self._waits = reasons
            for reason in sorted(filter(None, reasons)):
                self._say(reason)

    def _say(self, line: str | Text) -> None:
        self._said_s = time.monotonic()
        self.progress.console.print(line, soft_wrap=True)

    def _ended_line(self, view: JobView) -> Text:
        count = f"[{self._n_ended}/{self._n_jobs}] " if self._n_jobs is not None else ""
        tries = f" after {len(view.attempts)} tries" if len(view.attempts) > 1 else ""
        where = view.attempts[-1].device_id if view.attempts else view.target
        what = f"{view.model.name} {view.model.made_as} on {where}{tries}: "
        decode = view.result.cases[0].decode_tokens_per_second if view.result else None
        if view.state is JobState.SUCCEEDED:
            what += f"{decode.mean:.2f} t/s" if decode else "done"
            return Text.assemble(("✓", "green"), f" {count}{what}")
        return Text.assemble(("✗", "red"), f" {count}{what}{view.state}: {view.reason}")


@contextmanager
def live(console: Console, n_jobs: int | None, boards: Sequence[BoardInfo] = ()) -> Iterator[Live]:
    """Show bars while the block runs; `boards` have one from the start."""
    shown = Live(console, n_jobs, boards)
    with shown.progress:
        yield shown


def _named(board: BoardInfo) -> str:
    return board.device_id + (" (emulated)" if board.emulated else "")


def _expected(view: JobView) -> str:
    return f" of {human_expected(view.expected)}" if view.expected else ""


def _where(running: Iterable[Running]) -> str:
    places = [
        f"{one.device_id}: {one.view.model.made_as} {one.phase}"
        + ("" if one.percent is None else f" {one.percent:.0f}%")
        + _expected(one.view)
        for one in running
    ]
    return f" ({'; '.join(places)})" if places else ""
