"""One live bar for one job, for `job.wait(progress=True)`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from edgeprof.client.console import PlainConsole
from edgeprof.shared.store.job_values import Event
from edgeprof.shared.types.job import JobState


@contextmanager
def bar(job_id: str) -> Iterator[Callable[[Event], None]]:
    """Show a bar on stderr while the block runs; yields what feeds it."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=PlainConsole(stderr=True)) as progress:
        task = progress.add_task(f"{job_id} queued", total=100)

        def draw(event: Event) -> None:
            word = event.fields.get("phase") or event.fields.get("state", "")
            percent = event.fields.get("percent")
            if word == JobState.SUCCEEDED:
                percent = "100"
            with suppress(ValueError):  # another program may have written it
                progress.update(
                    task,
                    description=f"{job_id} {word}",
                    completed=None if percent is None else float(percent),
                )

        yield draw
