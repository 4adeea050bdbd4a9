"""Checks before queueing that a board can take the job. A refusal shows the sizes."""

from __future__ import annotations

from collections.abc import Sequence

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models import ModelFile
from edgeprof.shared.models.fit import FitReport, fit
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.job import JobSpec


def check(model: ModelFile, spec: JobSpec, boards: Sequence[BoardInfo]) -> None:
    """Raise ModelError, with the first board's reason, when no board can take the job.

    Without boards (the job waits for one) nothing is checked here; the worker checks it then.
    """
    refusals = [refusal for board in boards if (refusal := why_not(model, spec, board))]
    if boards and len(refusals) == len(boards):
        raise refusals[0]


def why_not(model: ModelFile, spec: JobSpec, board: BoardInfo) -> ModelError | None:
    """Return why this board cannot take the job, or None when it can."""
    if spec.model.quantization not in board.kernels:
        known = ", ".join(board.kernels)
        return ModelError(
            f"{board.device_id} has no kernel for {spec.model.quantization} (it has: {known})",
            code="unsupported_type",
            hint="--quantization makes another type of the same model",
        )
    if spec.n_ctx > board.n_ctx_max:
        return ModelError(
            f"context {spec.n_ctx} is more than the {board.n_ctx_max} positions {board.device_id}"
            " takes",
            code="context",
        )
    report = _fit(model, spec, board, can_flash=board.can_flash)
    if report.fits:
        return None
    hint = "try a smaller quantization, a shorter context (n_ctx), or an F16 KV cache"
    if _fit(model, spec, board, can_flash=True).fits:
        hint = (
            f"its flash has room: in boards.toml on {board.host} name what writes there, a debug"
            ' probe (flash_by = "probe:ID") or a program (flash = [...])'
        )
    return ModelError(
        f"{spec.model.name} {spec.model.quantization} does not fit {board.device_id}"
        f" ({board.platform}): {report.explain()}",
        code="no_memory",
        hint=hint,
    )


def _fit(model: ModelFile, spec: JobSpec, board: BoardInfo, *, can_flash: bool) -> FitReport:
    return fit(
        model.shape,
        model.size_bytes,
        spec.n_ctx,
        spec.kv_type,
        board.regions,
        can_flash=can_flash,
        can_upload=board.can_upload,
    )
