"""What a board worker does with a real board: how it is opened, and what a job does on it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path

from edgeprof.shared.errors import JobError
from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference import Reference
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.blobs import ModelCache
from edgeprof.shared.store.jobs import Claim
from edgeprof.shared.types.model import ModelRef
from edgeprof.shared.types.result import JobResult
from edgeprof.workers.board.board import Board
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.managed_board import Bench
from edgeprof.workers.board.meter import Meter
from edgeprof.workers.link import device
from edgeprof.workers.profiling import profile_job
from edgeprof.workers.worker.lease import Lease


def open_board(
    config: BoardConfig, settings: Settings, should_stop: Callable[[], bool] = lambda: False
) -> Board:
    """Open a board that speaks docs/link-protocol.md; not waited for once `should_stop` says so."""
    options = device.OpenOptions(
        lock_dir=settings.lock_dir,
        slot_dir=settings.cache_dir / "slots",
        baud=config.baud,
        flash_command=config.flash,
        should_stop=should_stop,
    )
    return device.open_board(config.port, options)


def profile(bench: Bench, claim: Claim, lease: Lease, models: ModelCache) -> JobResult:
    """Fetch the model, and measure it."""
    path = models.fetch(claim.spec.model)
    model, reference = _opened(path)
    _check_ref(claim.spec.model, model)
    command = bench.config.meter
    with Meter(command) if command else nullcontext() as meter:
        result = profile_job.profile(
            bench.board,
            claim.spec,
            path,
            model,
            reference,
            epoch=claim.epoch,
            progress=lease.progress,
            should_stop=lease.should_stop,
            host=bench.info.host,
            device_id=bench.info.device_id,
            meter=meter,
        )
    bench.note_upload(result.load.transfer_bytes_per_second)
    return result


def _check_ref(said: ModelRef, model: ModelFile) -> None:
    """Raise JobError when a job says other things of its model than the file does: results would repeat them."""
    # Both are of the file that the user named; in the cache it is called by its hash.
    true = model.ref.model_copy(update={"name": said.name, "source": said.source})
    for field, value in true:
        if getattr(said, field) != value:
            raise JobError(
                f"the job says {field} {getattr(said, field)} of its model, the file {value}",
                code="record",
            )


@lru_cache(maxsize=2)
def _opened(path: Path) -> tuple[ModelFile, Reference]:
    """Read a model once for the jobs that follow each other with it; a path names its content."""
    model = ModelFile.open(path)
    return model, Reference(model)
