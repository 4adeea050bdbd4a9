"""Results that Redis cannot take yet: kept on disk until it can, whatever happens to the worker.

A measurement may have taken an hour, and an outage must not cost it. There is one file a result,
named by job and epoch, so the store's fence decides as always: a result that is delivered twice
counts once, one that comes too late is refused.
"""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import ValidationError

from edgeprof.shared import private_files
from edgeprof.shared.store.jobs import JobStore
from edgeprof.shared.telemetry.context_fields import bound_job
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobResult
from edgeprof.shared.types.wire import Name, WireModel

log = logging.getLogger(__name__)


class Undelivered(WireModel):
    """What a file of the outbox holds."""

    job_id: Name
    epoch: int
    result: JobResult


class Outbox:
    """The outbox of one host, a folder that its workers share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, job_id: str, epoch: int, result: JobResult) -> None:
        """Write a result to disk, whole or not at all.

        A disk that is full is only logged, because the worker still has the result.
        """
        path = self._path(job_id, epoch)
        kept = Undelivered(job_id=job_id, epoch=epoch, result=result)
        try:
            private_files.write_whole(path, kept.model_dump_json().encode())
        except OSError as error:
            log.warning("job %s: result not kept at %s: %s", job_id, path, error.strerror)
        else:
            log.warning("job %s: result kept at %s until Redis is back", job_id, path)

    def drop(self, job_id: str, epoch: int) -> None:
        """Remove a result that was delivered or refused. One that stays is refused next time."""
        _remove(self._path(job_id, epoch))

    def deliver(self, jobs: JobStore) -> None:
        """Deliver what earlier workers could not. After an InfrastructureError the rest stays."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                kept = Undelivered.model_validate_json(path.read_text())
            except FileNotFoundError:
                continue  # another worker of this host delivered it
            except (OSError, ValidationError) as error:
                log.warning(
                    "%s is not a result of ours, and stays: %s", path, str(error).split("\n")[0]
                )
                continue
            state = jobs.succeed(kept.job_id, kept.epoch, kept.result)
            with bound_job(kept.job_id, jobs.traceparents([kept.job_id])[kept.job_id]):
                report(kept.job_id, kept.epoch, state)
            _remove(path)

    def _path(self, job_id: str, epoch: int) -> Path:
        return self._folder / f"{job_id}-{epoch}.json"


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:  # the disk may be read-only now
        log.warning("%s cannot be removed: %s", path, error.strerror)


def report(job_id: str, epoch: int, state: JobState | None) -> None:
    """Log what became of a result that could not be written at once."""
    if state is None:
        log.warning(
            "job %s: end of epoch %d refused: the lease ran out and the job went on without us",
            job_id,
            epoch,
        )
    else:
        log.info("job %s: result of epoch %d delivered", job_id, epoch)
