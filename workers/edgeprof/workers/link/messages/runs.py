"""Messages of a run: its prompt, its start, its progress and what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from edgeprof.workers.link.messages.codec import AtMost, Key, Message, Reply, Request
from edgeprof.workers.link.messages.operations import Event, Op
from edgeprof.workers.link.messages.wire_types import U8, U32, U64


@dataclass(frozen=True, slots=True)
class PromptReply(Reply):
    """How many tokens are staged now."""

    HEAD = Op.PROMPT
    n_staged: Annotated[U32, Key(1)]


@dataclass(frozen=True, slots=True)
class PromptRequest(Request[PromptReply]):
    """Stage token ids for the next RUN or SCORE."""

    HEAD = Op.PROMPT
    offset: Annotated[U32, Key(1)]
    tokens: Annotated[tuple[U32, ...], Key(2)]


@dataclass(frozen=True, slots=True)
class RunReply(Reply):
    """The run has begun."""

    HEAD = Op.RUN
    run_id: Annotated[U32 | None, Key(1, optional=True)]


@dataclass(frozen=True, slots=True)
class RunRequest(Request[RunReply]):
    """Prefill the staged prompt and decode greedily; without `stream` it does so with events."""

    HEAD = Op.RUN
    run_id: Annotated[U32, Key(1)]
    n_gen: Annotated[U32, Key(2)]
    epoch: Annotated[U64, Key(3)]
    stream: Annotated[bool | None, Key(4, optional=True)] = None


@dataclass(frozen=True, slots=True)
class ScoreReply(Reply):
    """Scoring has begun."""

    HEAD = Op.SCORE
    run_id: Annotated[U32 | None, Key(1, optional=True)]


@dataclass(frozen=True, slots=True)
class ScoreRequest(Request[ScoreReply]):
    """Score the staged tokens, each given those before it."""

    HEAD = Op.SCORE
    run_id: Annotated[U32, Key(1)]
    epoch: Annotated[U64, Key(2)]


class Entry(NamedTuple):
    """The record of one token: its microseconds in a RUN, its log-likelihood in a SCORE."""

    token: U32
    value: U32 | float


@dataclass(frozen=True, slots=True)
class ResultReply(Reply):
    """What was measured so far, and a page of its entries."""

    HEAD = Op.RESULT
    state: Annotated[U8, Key(1)]
    n_available: Annotated[U32, Key(2)]
    boot_id: Annotated[U32, Key(3)]
    start_us: Annotated[U64, Key(4)]
    prefill_us: Annotated[U64, Key(5)]
    entries: Annotated[tuple[Entry, ...], AtMost(64), Key(6)]
    end_us: Annotated[U64, Key(7)]
    error: Annotated[U32 | None, Key(8, optional=True)]
    idle_us: Annotated[U64 | None, Key(9, optional=True)]


@dataclass(frozen=True, slots=True)
class ResultRequest(Request[ResultReply]):
    """Read what was measured; it can be asked again."""

    HEAD = Op.RESULT
    run_id: Annotated[U32, Key(1)]
    first: Annotated[U32, Key(2)]
    count: Annotated[U32, Key(3)]


@dataclass(frozen=True, slots=True)
class CancelReply(Reply):
    """Whether there was a run to end."""

    HEAD = Op.CANCEL
    was_running: Annotated[bool, Key(1)]


@dataclass(frozen=True, slots=True)
class CancelRequest(Request[CancelReply]):
    """End the run in progress after the token it is at."""

    HEAD = Op.CANCEL
    epoch: Annotated[U64, Key(1)]


@dataclass(frozen=True, slots=True)
class TokenEvent(Message):
    """A token was generated."""

    HEAD = Event.TOKEN
    run_id: Annotated[U32, Key(1)]
    index: Annotated[U32, Key(2)]
    token: Annotated[U32, Key(3)]
    us: Annotated[U32, Key(4)]


@dataclass(frozen=True, slots=True)
class PrefillEvent(Message):
    """Prefill or scoring has got so far."""

    HEAD = Event.PREFILL
    run_id: Annotated[U32, Key(1)]
    n_done: Annotated[U32, Key(2)]
    n_tokens: Annotated[U32, Key(3)]


@dataclass(frozen=True, slots=True)
class DoneEvent(Message):
    """The run has ended."""

    HEAD = Event.DONE
    run_id: Annotated[U32, Key(1)]
    state: Annotated[U8, Key(2)]
