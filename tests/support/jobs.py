"""Jobs for a null board, from the smallest to the largest that is valid."""

from __future__ import annotations

import hashlib
from typing import Any

from edgeprof.shared.types import case as limits
from edgeprof.shared.types import job, wire
from edgeprof.shared.types.case import TestCase
from edgeprof.shared.types.job import JobSpec, Target
from edgeprof.shared.types.model import ModelRef

MODEL = ModelRef(
    name="nothing",
    sha256="0" * 64,
    size_bytes=1,
    quantization="F32",
    n_params=1,
    n_ctx_train=4096,
    n_vocab=16,
)


TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def make_spec(n_gen: int = 1, *, board: str | None = None, **fields: Any) -> JobSpec:
    target = Target(device_id=board) if board else Target(platform="null")
    case = TestCase(prompt_tokens=(1, 2, 3), n_gen=n_gen)
    return JobSpec(model=MODEL, target=target, cases=(case,), n_ctx=4096, **fields)


WIDEST = wire.MAX_VOCABULARY - 1


def largest() -> JobSpec:
    """The longest JSON that is a job: every number as wide, every text as long as it may be."""
    model = MODEL.model_copy(
        update={"name": "m" * 64, "n_ctx_train": 65536, "n_vocab": 1 << 20, "n_params": 2**40}
    )
    full = {
        "prompt_tokens": (WIDEST,) * 4096,
        "unquantized_top1": (WIDEST,) * 4095,
        "n_gen": 4096,
    }
    short = {"prompt_tokens": (WIDEST,) * 68, "unquantized_top1": (WIDEST,) * 67, "n_gen": 68}
    windows = [(WIDEST,) * 9] * limits.MAX_SCORE_WINDOWS
    scored = {
        "prompt_source": "standard",
        "prompt_characters": 2**40,
        "prompt_text": "\x00" * limits.MAX_PROMPT_CHARACTERS,
        "scoring": {
            "text": "\U0001f600" * 128,
            "text_sha256": "f" * 64,
            "windows": windows,
            "unquantized_top1": [window[1:] for window in windows],
        },
    }
    cases = (full | scored,) + (full,) * 2 + (short,) * 60
    tags = {f"{index:064}": "\U0001f600" * 256 for index in range(job.MAX_TAGS)}
    return JobSpec.model_validate(
        make_spec().model_dump()
        | {"model": model, "cases": cases, "n_ctx": 65536, "tags": tags, "user": "\U0001f600" * 64}
    )


def ref_of(content: bytes) -> ModelRef:
    return ModelRef(
        name="m",
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        quantization="F32",
        n_params=1,
        n_ctx_train=1,
        n_vocab=1,
    )
