"""Whether any board of the target can take a job, before anybody waits: refused with the sum."""

from __future__ import annotations

from collections.abc import Sequence

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models import ModelFile
from edgeprof.shared.models.fit import fit
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.job import JobSpec


def check(model: ModelFile, spec: JobSpec, boards: Sequence[BoardInfo]) -> None:
    """Raise ModelError when none of these boards can take the job; say why of the first.

    No boards (the job waits for one) means nothing to check; the board itself will.
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
    report = fit(
        model.shape,
        model.size_bytes,
        spec.n_ctx,
        spec.kv_type,
        board.regions,
        can_flash=board.can_flash,
        can_upload=board.can_upload,
    )
    if report.fits:
        return None
    return ModelError(
        f"{spec.model.name} {spec.model.quantization} does not fit {board.device_id}"
        f" ({board.platform}): {report.explain()}",
        code="no_memory",
        hint="try a smaller quantization, a shorter context (n_ctx), or an F16 KV cache",
    )
