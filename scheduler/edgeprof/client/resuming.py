"""Which jobs of a sweep exist already: the same file over the same contents is the same sweep."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

from edgeprof.client import scoring
from edgeprof.client.sweep import Plan
from edgeprof.client.sweep_file import SweepFile
from edgeprof.shared.types.board import BoardInfo, BoardState
from edgeprof.shared.types.job import JobSpec
from edgeprof.shared.types.model import ModelRef
from edgeprof.shared.types.result import InputCase, Inputs, JobView


def sweep_id(file: SweepFile, plan: Plan, boards: Iterable[BoardInfo], fresh: str = "") -> str:
    """Return the id of a sweep: the file's name, and a hash of all that its numbers depend on.

    That is what the file says, the contents of its models and its corpus, and the firmware of the
    boards it names: other firmware gives other numbers. fresh: anything, for another sweep.
    """
    firmware = {board.firmware_git_hash for board in _named(file, boards)}
    content = {
        "file": file.keys.model_dump(mode="json", exclude_unset=True),
        "models": sorted({model.sha256 for model in plan.batch.values()}),
        "corpus": scoring.corpus(file.corpus).sha256 if file.keys.score else None,
        "firmware": sorted(firmware),
        "fresh": fresh,
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", file.path.stem).strip("._-")[:40]
    return f"{stem or 'sweep'}-{digest}"


def away(file: SweepFile, boards: Iterable[BoardInfo]) -> list[str]:
    """Return a sentence for each platform whose firmware is known from boards that are away only.

    Who restarts a worker with other firmware, and sweeps before it has greeted its board, would
    else be told that everything was measured before.
    """
    platforms: dict[str, list[BoardInfo]] = {}
    for board in _named(file, boards):
        platforms.setdefault(board.platform, []).append(board)
    return [
        f"no board of {platform} is online: its firmware is taken to be"
        f" {' and '.join(sorted({board.firmware_git_hash[:8] for board in known}))}, as last seen"
        for platform, known in sorted(platforms.items())
        if all(board.state is BoardState.OFFLINE for board in known)
    ]


def _named(file: SweepFile, boards: Iterable[BoardInfo]) -> list[BoardInfo]:
    keys = file.keys
    return [
        board
        for board in boards
        if board.platform in keys.platform or board.device_id in keys.board
    ]


def key_of(spec: JobSpec) -> tuple[Any, ...]:
    """Return what makes a job of a sweep the job that it is; equal for its view."""
    return _key(spec.model, str(spec.target), Inputs.of(spec))


def key_of_view(view: JobView) -> tuple[Any, ...]:
    """Return the same of a job in the store or the archive."""
    return (view.id,) if view.inputs is None else _key(view.model, view.target, view.inputs)


def _key(model: ModelRef, target: str, asked: Inputs) -> tuple[Any, ...]:
    cases = tuple(map(_case, asked.cases))
    return (
        model.sha256,
        target,
        cases,
        asked.repetitions,
        asked.warmup,
        asked.n_ctx,
        asked.kv_type,
    )


def _case(case: InputCase) -> tuple[Any, ...]:
    scored = case.scoring and (
        case.scoring.text_sha256,
        case.scoring.windows,
        case.scoring.context_tokens,
    )
    return case.prompt_tokens, case.n_gen, scored
