"""The options of a job, each with its unit and default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypedDict

from edgeprof.shared.identity import user_name
from edgeprof.shared.types.model import KvType, Quantization

#: Tokens that are scored by default: enough for a standard error of some percent.
DEFAULT_SCORED_TOKENS: Final = 512


class JobOptions(TypedDict, total=False):
    """The keywords of `Lab.submit`. Name a platform or a board; all else has a default.

    platform: any board of this kind, e.g. "stm32f405".
    board: this very board, by its name.
    require: tags that the board must have, all of them, e.g. {"psram": "8MB"}; boards.toml has
        them. The job's own are `tags`. Default: none.
    quantization: the weight type to make of the model. Default: None, as the file is.
    head: the weight type of embedding and output head. Default: None, that of the other weights,
        but Q8_0 beside TQ2_0.
    prompt: a text; "" is the model's BOS token alone. Default: None, see n_prompt.
    prompt_tokens: the prompt as token ids, in place of a text. Default: None.
    n_prompt: without a prompt, how many tokens of a standard text to take. Default: 64.
    n_gen: how many tokens to generate; 0 measures the prefill only. Default: 64.
    repetitions: how many measured runs. Default: 3.
    warmup: how many runs before them that do not count. Default: 1.
    n_ctx: positions of the KV cache. Default: None, as many as prompt, generated tokens and the
        windows to score need.
    kv_type: the element type of the KV cache, F16 or another of KvType. Default: F16.
    priority: from 0 (whenever) to 9 (now). Default: 5.
    wait_for_board: whether a platform or board that nobody has announced yet is accepted; the job
        then waits for it. Default: False.
    check_output: whether the tokens are compared with the reference on the host. Default: True.
    score: whether perplexity is measured as well. Default: False.
    profile: whether each case runs once more with the board's timer read between operators, so
        that `edgeprof explain` can say where the time goes. Default: False.
    corpus: a file of text to score over; naming one is enough to score. Default: None, a text
        that ships.
    score_tokens: how many tokens of that text to score. Default: 512.
    score_stride: tokens from the beginning of one window to that of the next; a token is counted
        once, and the others are its context. Default: None, windows do not overlap.
    timeout_s: seconds that one attempt may take. Default: None, 600 s and what the upload of the
        model can be foreseen to take.
    queue_timeout_s: seconds after which a job that no board took expires. Default: 86400, a day.
    max_attempts: how often the job is tried in all when board, link or host fail. Default: 3.
    user: who asks. Default: the name of the user who runs the program.
    sweep_id: the sweep that the job belongs to. Default: None.
    tags: names and values of your own, kept with the job, to find it by. Default: none.
    source: which program submits. Default: "python".
    """

    platform: str | None
    board: str | None
    require: dict[str, str]
    quantization: Quantization | str | None
    head: Quantization | str | None
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
    profile: bool
    corpus: str | Path | None
    score_tokens: int
    score_stride: int | None
    timeout_s: float | None
    queue_timeout_s: float
    max_attempts: int
    user: str
    sweep_id: str | None
    tags: dict[str, str]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One job to ask for: a model and the options, which JobOptions explains.

    model: a name of the catalogue, or the path of a GGUF file.
    """

    model: str | Path
    platform: str | None = None
    board: str | None = None
    require: dict[str, str] = field(default_factory=dict)
    quantization: Quantization | str | None = None
    head: Quantization | str | None = None
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
    profile: bool = False
    corpus: str | Path | None = None
    score_tokens: int = DEFAULT_SCORED_TOKENS
    score_stride: int | None = None
    timeout_s: float | None = None
    queue_timeout_s: float = 86400.0
    max_attempts: int = 3
    user: str = field(default_factory=user_name)
    sweep_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    source: str = "python"
