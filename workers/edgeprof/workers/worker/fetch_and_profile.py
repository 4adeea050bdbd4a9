"""Fetch a claimed job's model, check it against the record, and profile it on the board."""

from __future__ import annotations

from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path

from edgeprof.shared.errors import JobError
from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference import Reference
from edgeprof.shared.settings import load_settings
from edgeprof.shared.store.blobs import ModelCache
from edgeprof.shared.store.job_values import Claim
from edgeprof.shared.types.model import ModelRef
from edgeprof.shared.types.result import JobResult
from edgeprof.workers.board.meter import Meter
from edgeprof.workers.board.worker_board import WorkerBoard
from edgeprof.workers.profiling.profile_job import profile_job
from edgeprof.workers.worker.lease import Lease


def fetch_and_profile(
    worker_board: WorkerBoard, claim: Claim, lease: Lease, models: ModelCache
) -> JobResult:
    """Carry out a claimed job on an open board. Raises a Fault, or Cancelled by its lease."""
    path = models.fetch(claim.spec.model)
    model, reference = _read(path)
    check_model(claim.spec.model, model)
    command = worker_board.config.meter
    with Meter(command) if command else nullcontext() as meter:
        result = profile_job(
            worker_board.board,
            claim.spec,
            path,
            model,
            reference,
            epoch=claim.epoch,
            progress=lease.progress,
            should_stop=lease.should_stop,
            host=worker_board.info.host,
            device_id=worker_board.info.device_id,
            ceilings_dir=load_settings().cache_dir / "ceilings",
            meter=meter,
        )
    worker_board.note_upload_speed(result.load.transfer_bytes_per_second)
    return result


def check_model(recorded: ModelRef, model: ModelFile) -> None:
    """Raise JobError when the job's record contradicts the file: the result would repeat it."""
    # Name and source are the submitter's; in the cache a file is named after its hash.
    names = {"name": recorded.name, "source": recorded.source}
    for field, value in model.ref.model_copy(update=names):
        if getattr(recorded, field) != value:
            raise JobError(
                f"the job says {field} {getattr(recorded, field)} of its model, the file {value}",
                code="record",
            )


@lru_cache(maxsize=2)
def _read(path: Path) -> tuple[ModelFile, Reference]:
    """Read a model once for the jobs that follow each other with it; a path names its content."""
    model = ModelFile.open(path)
    return model, Reference(model)
