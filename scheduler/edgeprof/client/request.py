"""What a user may ask for: the options of one job, as keywords and as a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypedDict

from edgeprof.shared.identity import user_name
from edgeprof.shared.types.model import KvType, Quantization

#: Tokens that are scored unless somebody says otherwise: enough for a standard error of some percent.
DEFAULT_SCORED_TOKENS: Final = 512


class JobOptions(TypedDict, total=False):
    """The keywords of `Lab.submit`, whose docstring explains them. A test holds them to Request's fields."""

    platform: str | None
    board: str | None
    quantization: Quantization | str | None
    prompt: str | None
    prompt_tokens: Sequence[int] | None
    n_prompt: int
    n_gen: int
    repetitions: int
    warmup: int
    n_ctx: int | None
    kv_type: KvType | str
    priority: int
    wait_for_board: bool
    check_output: bool
    score: bool
    corpus: str | Path | None
    score_tokens: int
    timeout_s: float | None
    queue_timeout_s: float
    max_attempts: int
    user: str
    sweep_id: str | None
    tags: dict[str, str]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One job as it is asked for: a model, and JobOptions with their defaults."""

    model: str | Path
    platform: str | None = None
    board: str | None = None
    quantization: Quantization | str | None = None
    prompt: str | None = None
    prompt_tokens: Sequence[int] | None = None
    n_prompt: int = 64
    n_gen: int = 64
    repetitions: int = 3
    warmup: int = 1
    n_ctx: int | None = None
    kv_type: KvType | str = KvType.F16
    priority: int = 5
    wait_for_board: bool = False
    check_output: bool = True
    score: bool = False
    corpus: str | Path | None = None
    score_tokens: int = DEFAULT_SCORED_TOKENS
    timeout_s: float | None = None
    queue_timeout_s: float = 86400.0
    max_attempts: int = 3
    user: str = field(default_factory=user_name)
    sweep_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    source: str = "python"
