"""Makes a job again from the record of a finished one: the same inputs, the same model file."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from edgeprof.client import admission, routing
from edgeprof.client.planning import Planned
from edgeprof.shared.errors import UsageError
from edgeprof.shared.models import ModelFile
from edgeprof.shared.own_version import own_version
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.case import Scoring, TestCase
from edgeprof.shared.types.job import JobSpec
from edgeprof.shared.types.result import InputCase, JobView
from edgeprof.shared.validation import first_error

#: The tag that names the job of which this one is a repetition.
TAG = "rerun-of"


def plan(
    view: JobView,
    model: ModelFile,
    boards: Sequence[BoardInfo],
    *,
    user: str,
    board: str | None = None,
    platform: str | None = None,
    wait_for_board: bool = False,
) -> Planned:
    """Return the job to queue: for the same target, unless another is named.

    Raises UsageError for a record of schema 1, which has no inputs, and what Lab.submit raises.
    """
    asked = view.inputs
    if asked is None:
        raise UsageError(
            f"job {view.id} cannot be repeated: its record is of schema 1, which kept no inputs",
            hint="submit it again by hand: edgeprof submit",
        )
    if board is None and platform is None:
        board, platform = _as_before(view, boards)
        require = asked.require
    else:
        require = {}  # whoever names another board knows what it has
    target = routing.choose_target(
        platform, board, boards, wait_for_board=wait_for_board, require=require
    )
    try:
        spec = JobSpec(
            model=view.model,
            target=target,
            require=require,
            cases=tuple(map(_case, asked.cases)),
            repetitions=asked.repetitions,
            warmup=asked.warmup,
            n_ctx=asked.n_ctx,
            kv_type=asked.kv_type,
            check_output=asked.check_output,
            score=asked.score,
            profile=asked.profile,
            priority=view.priority,
            timeout_s=asked.timeout_s,
            queue_timeout_s=asked.queue_timeout_s,
            max_attempts=asked.max_attempts,
            user=user,
            tags=asked.tags | {TAG: view.id},
            source=f"edgeprof rerun {own_version()}"[:64],
            tensor_bytes=asked.tensor_bytes,
        )
    except ValidationError as error:
        raise UsageError(f"job {view.id} cannot be repeated: {first_error(error)}") from None
    on = routing.boards_of(target, boards, require)
    admission.check(model, spec, on)
    return Planned(spec, model, routing.platform_of(target, on))


def _as_before(view: JobView, boards: Sequence[BoardInfo]) -> tuple[str | None, str | None]:
    """Return the board or the platform that the job was for; its record only says the name."""
    identity = view.result.identity if view.result else None
    is_board = view.target in {board.device_id for board in boards} or (
        identity is not None and identity.device_id == view.target != identity.platform
    )
    return (view.target, None) if is_board else (None, view.target)


def _case(case: InputCase) -> TestCase:
    scoring = case.scoring
    return TestCase(
        prompt_tokens=case.prompt_tokens,
        n_gen=case.n_gen,
        prompt_source=case.prompt_source,
        prompt_text=case.prompt_text,
        prompt_characters=case.prompt_characters,
        scoring=scoring and Scoring(**scoring.model_dump()),
    )
