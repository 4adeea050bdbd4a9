"""Turns a request into a job, with all checks that need no board.

lab.py imports it at the first submit, because models need numpy, whose import takes 0.2 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pydantic import ValidationError

from edgeprof.client import admission, routing, scoring, timeouts
from edgeprof.client.preparation import Batch, Preparer, Prompt
from edgeprof.client.request import Request
from edgeprof.shared.errors import UsageError
from edgeprof.shared.models import ModelFile
from edgeprof.shared.own_version import own_version
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.case import TestCase
from edgeprof.shared.types.job import JobSpec
from edgeprof.shared.validation import first_error


@dataclass(frozen=True, slots=True)
class Planned:
    """A request that passed all checks that need no board, and its job."""

    spec: JobSpec
    model: ModelFile
    #: Of the boards that may take it; "" for a board that is not known yet.
    platform: str = ""


def plan(
    request: Request, boards: Sequence[BoardInfo], preparer: Preparer, batch: Batch | None
) -> Planned:
    """Check a request and make its job. Raises as Lab.submit does.

    batch: of requests that are to read each model's file once.
    """
    target = routing.choose_target(
        request.platform,
        request.board,
        boards,
        wait_for_board=request.wait_for_board,
        require=request.require,
    )
    _check_counts(request)
    source = preparer.source(request.model, batch)
    model = preparer.typed(source, request.quantization, request.head)
    prompt = preparer.prompt(model, request.prompt, request.prompt_tokens, request.n_prompt)
    text_to_score = None
    scored = request.score or request.corpus is not None
    if scored:
        text_to_score = preparer.scoring(
            source,
            model,
            scoring.corpus(request.corpus),
            request.score_tokens,
            request.n_ctx,
            request.score_stride,
        )
    on = routing.boards_of(target, boards, request.require)
    timeout_s = request.timeout_s
    try:
        case = _case(prompt, request.n_gen)
        if text_to_score is not None:
            case = case.model_copy(update={"scoring": text_to_score})
        spec = JobSpec(
            model=model.ref,
            target=target,
            require=request.require,
            cases=(case,),
            repetitions=request.repetitions,
            warmup=request.warmup,
            n_ctx=case.n_ctx_needed if request.n_ctx is None else request.n_ctx,
            kv_type=str(request.kv_type).upper(),
            check_output=request.check_output,
            score=scored,
            profile=request.profile,
            priority=request.priority,
            timeout_s=timeouts.foreseen_s(model, on) if timeout_s is None else timeout_s,
            queue_timeout_s=request.queue_timeout_s,
            max_attempts=request.max_attempts,
            user=request.user,
            sweep_id=request.sweep_id,
            tags=request.tags,
            source=f"{request.source} {own_version()}"[:64],
            tensor_bytes=model.tensor_bytes,
        )
    except ValidationError as error:
        raise UsageError(str(first_error(error))) from None
    admission.check(model, spec, on)
    return Planned(spec, model, routing.platform_of(target, on))


@lru_cache(maxsize=256)
def _case(prompt: Prompt, n_gen: int) -> TestCase:
    """Check a prompt once: the jobs of a sweep share a few."""
    return TestCase(
        prompt_tokens=prompt.tokens,
        n_gen=n_gen,
        prompt_source=prompt.source,
        prompt_text=prompt.kept,
        prompt_characters=prompt.characters,
    )


def _check_counts(request: Request) -> None:
    """Raise UsageError with the names of the options; pydantic would name the record's fields."""
    least = {"n_prompt": 1, "n_gen": 0, "repetitions": 1, "max_attempts": 1}
    for name, smallest in least.items():
        if getattr(request, name) < smallest:
            raise UsageError(f"{name} must be at least {smallest}, not {getattr(request, name)}")
    if request.n_ctx is not None and request.n_ctx < 1:
        raise UsageError(f"n_ctx must be at least 1, not {request.n_ctx}")
