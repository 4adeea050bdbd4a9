"""`edgeprof export` and `edgeprof import`: jobs from one lab's archive into another's."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from edgeprof.cli import output
from edgeprof.cli.archived import open_archive
from edgeprof.client.lab import Lab
from edgeprof.client.model_finder import ModelFinder
from edgeprof.client.selection import select
from edgeprof.scheduler.archive import Archive, transfer
from edgeprof.scheduler.archive.damaged import rescue
from edgeprof.shared.errors import UsageError
from edgeprof.shared.redis import server
from edgeprof.shared.settings import Settings, load_settings
from edgeprof.shared.types.model import ModelRef
from edgeprof.shared.types.result import JobView

_DAY_S = 86400.0


def export(
    selections: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SELECTION…]",
            help="Jobs, sweeps, baselines, firmware hashes, tags NAME=VALUE or ranges of time."
            " Default: all.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Where to; .gz compresses it.")
    ] = Path("edgeprof-export.gz"),
    models: Annotated[
        bool, typer.Option("--models/--no-models", help="Put the model files in as well.")
    ] = True,
    damaged: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Read what is left of this damaged SQLite archive, which is not changed, in place"
            " of the lab's.",
        ),
    ] = None,
) -> None:
    """Write jobs into one file, for another lab.

    It holds their whole records, with prompts and users, and each model file once.

    Example: edgeprof export sweep-1a2b3c4d -o FILE
    """
    if damaged is not None and selections:
        raise UsageError("--damaged takes all jobs of the file: name no selection")
    with ExitStack() as stack:
        if damaged is not None:
            views = iter(_rescued(damaged))
        else:
            views = _chosen(stack.enter_context(open_archive()), selections or [])
        first = next(views, None)
        if first is None:
            raise UsageError("the archive is empty: there is nothing to export")
        finder = stack.enter_context(_finder(load_settings())) if models else None

        def find_model(wanted: ModelRef) -> bytes | None:
            if finder is not None:
                with suppress(UsageError):
                    return finder.find(wanted).data
            return None

        done = transfer.write(out, chain([first], views), find_model)
    output.note(f"wrote {done.jobs} job(s) and {done.models} model(s) to {out}")
    if done.lost and models:
        output.note(f"models that are nowhere any more: {', '.join(done.lost)}")


def import_(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="What `edgeprof export` wrote.")],
) -> None:
    """Add the jobs of another lab's file to the archive.

    Ids stay. A job whose id another job here has gets a new one, which is printed.

    Example: edgeprof import edgeprof-export.gz
    """
    settings = load_settings()
    finder = ModelFinder(settings.cache_dir, None)
    with Archive.open(settings) as archive:
        done = transfer.read(path, archive, finder.keep)
    output.note(
        f"added {len(done.added)} job(s) and {len(done.models)} model(s);"
        f" {len(done.known)} job(s) were here before"
    )
    for old, new in done.renamed.items():
        output.note(f"job {old} is another one here: the imported one is {new}")
    if settings.archive_keep_days is not None:
        old_s = time.time() - settings.archive_keep_days * _DAY_S
        output.note(
            f"jobs that ended before {time.strftime('%Y-%m-%d', time.gmtime(old_s))} are deleted"
            " again soon (EDGEPROF_ARCHIVE_KEEP_DAYS), unless a baseline has them"
        )
    for job_id in done.added:
        output.data(job_id)


def _rescued(path: Path) -> list[JobView]:
    rescued = rescue(path)
    output.note(f"{len(rescued.views)} job(s) can be read in {path}, {len(rescued.lost)} are lost")
    for job_id in rescued.lost:
        output.note(f"lost: {job_id}")
    return list(rescued.views)


def _chosen(archive: Archive, selections: Sequence[str]) -> Iterator[JobView]:
    """Return the jobs of all selections, each once; without one, all of the archive."""
    if not selections:
        return archive.every()
    chosen = (view for word in selections for view in select(word, archive).views)
    return iter({view.id: view for view in chosen}.values())


@contextmanager
def _finder(settings: Settings) -> Iterator[ModelFinder]:
    """What finds models: in the caches, and in the lab's Redis if there is one."""
    if settings.redis_url or server.runs(settings):
        with Lab(settings=settings, hurried=True) as lab:
            yield ModelFinder(settings.cache_dir, lab.store.blobs)
    else:
        yield ModelFinder(settings.cache_dir, None)
