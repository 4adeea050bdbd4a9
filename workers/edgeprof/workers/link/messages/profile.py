"""Messages that say why a run is as fast as it is: its profile, and the board's ceilings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from edgeprof.workers.link.messages.codec import AtMost, Key, Reply, Request
from edgeprof.workers.link.messages.operations import Op
from edgeprof.workers.link.messages.wire_types import U8, U32, U64, Name16


@dataclass(frozen=True, slots=True)
class ProfileReply(Reply):
    """The run has begun."""

    HEAD = Op.PROFILE
    run_id: Annotated[U32 | None, Key(1, optional=True)]


@dataclass(frozen=True, slots=True)
class ProfileRequest(Request[ProfileReply]):
    """Run as RUN does, with the timer read between operators."""

    HEAD = Op.PROFILE
    run_id: Annotated[U32, Key(1)]
    n_gen: Annotated[U32, Key(2)]
    epoch: Annotated[U64, Key(3)]
    by_layer: Annotated[bool, Key(4)]


class Cell(NamedTuple):
    """What one operator did in one layer and phase; no layer where it belongs to none."""

    phase: U8
    operator: U8
    layer: U32 | None
    calls: U32
    ticks: U64
    macs: U64
    weight_bytes: U64
    cache_bytes: U64


@dataclass(frozen=True, slots=True)
class ProfileResultReply(Reply):
    """A part of a profile."""

    HEAD = Op.PROFILE_RESULT
    boot_id: Annotated[U32, Key(1)]
    tick_hz: Annotated[U32, Key(2)]
    window_ticks: Annotated[tuple[U64, ...], AtMost(2), Key(3)]
    bucket_positions: Annotated[U32, Key(4)]
    next: Annotated[U32 | None, Key(5, optional=True)]
    cells: Annotated[tuple[Cell, ...], AtMost(64), Key(6)]
    by_position: Annotated[tuple[U64, ...], AtMost(256), Key(7)]


@dataclass(frozen=True, slots=True)
class ProfileResultRequest(Request[ProfileResultReply]):
    """Read a profile from `first` on; it can be asked again."""

    HEAD = Op.PROFILE_RESULT
    run_id: Annotated[U32, Key(1)]
    first: Annotated[U32, Key(2)]


@dataclass(frozen=True, slots=True)
class ReadSpeedReply(Reply):
    """How long the stretch took, read the first time and again."""

    HEAD = Op.READ_SPEED
    first_ticks: Annotated[U64, Key(1)]
    again_ticks: Annotated[U64, Key(2)]
    tick_hz: Annotated[U32, Key(3)]


@dataclass(frozen=True, slots=True)
class ReadSpeedRequest(Request[ReadSpeedReply]):
    """Read the first bytes of a region twice."""

    HEAD = Op.READ_SPEED
    region: Annotated[U32, Key(1)]
    length_bytes: Annotated[U32, Key(2)]
    epoch: Annotated[U64, Key(3)]


@dataclass(frozen=True, slots=True)
class KernelSpeedReply(Reply):
    """How long the products took, and in which region the data were."""

    HEAD = Op.KERNEL_SPEED
    ticks: Annotated[U64, Key(1)]
    macs: Annotated[U64, Key(2)]
    weight_bytes: Annotated[U64, Key(3)]
    region: Annotated[Name16, Key(4)]
    tick_hz: Annotated[U32, Key(5)]
    rows: Annotated[U32, Key(6)]


@dataclass(frozen=True, slots=True)
class KernelSpeedRequest(Request[KernelSpeedReply]):
    """Multiply a matrix of this type in the fastest memory with room."""

    HEAD = Op.KERNEL_SPEED
    type: Annotated[U32, Key(1)]
    epoch: Annotated[U64, Key(2)]
