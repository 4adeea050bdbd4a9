"""What a board worker does with a real board: how it is opened, and what a job does on it."""

from __future__ import annotations

from edgeprof.shared.blobs import ModelCache
from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference import Reference
from edgeprof.shared.results import JobResult
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.jobs import Claim
from edgeprof.workers import session
from edgeprof.workers.bench import Bench
from edgeprof.workers.board import Board
from edgeprof.workers.config import BoardConfig
from edgeprof.workers.lease import Lease
from edgeprof.workers.link import device


def open_board(config: BoardConfig, settings: Settings) -> Board:
    """Open a board that speaks docs/link-protocol.md."""
    options = device.OpenOptions(
        lock_dir=settings.lock_dir,
        slot_dir=settings.cache_dir / "slots",
        baud=config.baud,
        flash_command=config.flash,
    )
    return device.open_board(config.url, options)


def profile(bench: Bench, claim: Claim, lease: Lease, models: ModelCache) -> JobResult:
    """Fetch the model, and measure it."""
    path = models.fetch(claim.spec.model)
    model = ModelFile.open(path)
    return session.profile(
        bench.board,
        claim.spec,
        path,
        model,
        Reference(model),
        epoch=claim.epoch,
        progress=lease.progress,
        should_stop=lease.should_stop,
        host=bench.info.host,
        device_id=bench.info.device_id,
    )
