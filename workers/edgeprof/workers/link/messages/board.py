"""Messages about the board itself: its identity, its state, and commands such as reset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from edgeprof.workers.link.messages.codec import AtMost, Key, Message, Reply, Request
from edgeprof.workers.link.messages.operations import Event, Op
from edgeprof.workers.link.messages.wire_types import (
    U8,
    U32,
    U64,
    Blob,
    Int,
    Name16,
    Name32,
    Sha256,
    Text,
)


class ProtocolVersion(NamedTuple):
    """The version of the protocol that a board speaks."""

    major: U32
    minor: U32


@dataclass(frozen=True, slots=True)
class Timer(Message):
    """The clock that times runs."""

    name: Annotated[Name16, Key(1)]
    resolution_ns: Annotated[U32, Key(2)]


@dataclass(frozen=True, slots=True)
class Region(Message):
    """A stretch of memory that models can use."""

    name: Annotated[Name16, Key(1)]
    kind: Annotated[U8, Key(2)]
    total_bytes: Annotated[U32, Key(3)]
    available_bytes: Annotated[U32, Key(4)]


@dataclass(frozen=True, slots=True)
class FlashModel(Message):
    """The model in the board's flash slot."""

    sha256: Annotated[Sha256, Key(1)]
    size_bytes: Annotated[U32, Key(2)]


@dataclass(frozen=True, slots=True)
class RamModel(Message):
    """The model in RAM, whole or uploaded as far as next_offset."""

    sha256: Annotated[Sha256, Key(1)]
    size_bytes: Annotated[U32, Key(2)]
    next_offset: Annotated[U32, Key(3)]


@dataclass(frozen=True, slots=True)
class HelloReply(Reply):
    """A board's description of itself, as it stands on the wire."""

    HEAD = Op.HELLO
    protocol: Annotated[ProtocolVersion, Key(1)]
    uid: Annotated[bytes, Blob(1, 16), Key(2)]
    platform: Annotated[Name32, Key(3)]
    firmware_version: Annotated[Name32, Key(4)]
    firmware_git_hash: Annotated[str, Text(40), Key(5)]
    toolchain: Annotated[str, Text(48), Key(6)]
    clock_hz: Annotated[U32, Key(7)]
    timer: Annotated[Timer, Key(8)]
    emulated: Annotated[bool, Key(9)]
    boot_id: Annotated[U32, Key(10)]
    regions: Annotated[tuple[Region, ...], AtMost(8), Key(11)]
    kernels: Annotated[tuple[U32, ...], AtMost(64), Key(12)]
    max_payload_bytes: Annotated[U32, Key(13)]
    rx_window_bytes: Annotated[U32, Key(14)]
    bauds: Annotated[tuple[U32, ...], AtMost(32), Key(15)]
    flash_model: Annotated[FlashModel | None, Key(16)]
    ram_model: Annotated[RamModel | None, Key(17)]
    features: Annotated[U32, Key(18)]
    n_ctx_max: Annotated[U32, Key(19)]
    unhashed_bytes: Annotated[U32 | None, Key(20, optional=True)] = None


@dataclass(frozen=True, slots=True)
class HelloRequest(Request[HelloReply]):
    """Asks for the board's description of itself."""

    HEAD = Op.HELLO
    host_major: Annotated[U8, Key(1)]
    host_minor: Annotated[U8, Key(2)]


@dataclass(frozen=True, slots=True)
class PingReply(Reply):
    """The board's clock, read while it answered."""

    HEAD = Op.PING
    echo: Annotated[U32 | None, Key(1, optional=True)]
    time_us: Annotated[U64, Key(2)]
    boot_id: Annotated[U32, Key(3)]


@dataclass(frozen=True, slots=True)
class PingRequest(Request[PingReply]):
    """Asks for a sign of life, and the board's time."""

    HEAD = Op.PING
    echo: Annotated[U32 | None, Key(1, optional=True)] = None


@dataclass(frozen=True, slots=True)
class BaudReply(Reply):
    """The board is about to switch its rate."""

    HEAD = Op.BAUD


@dataclass(frozen=True, slots=True)
class BaudRequest(Request[BaudReply]):
    """Go to another rate."""

    HEAD = Op.BAUD
    baud: Annotated[U32, Key(1)]


@dataclass(frozen=True, slots=True)
class RegionUse(Message):
    """How much of a stretch of memory is in use, and was at most."""

    name: Annotated[Name16, Key(1)]
    kind: Annotated[U8, Key(2)]
    total_bytes: Annotated[U32, Key(3)]
    used_bytes: Annotated[U32, Key(4)]
    high_water_bytes: Annotated[U32, Key(5)]


@dataclass(frozen=True, slots=True)
class LinkCounters(Message):
    """What the board's end of the link has seen since boot."""

    rx_frames: Annotated[U32, Key(1)]
    rx_errors: Annotated[U32, Key(2)]
    rx_overruns: Annotated[U32, Key(3)]
    tx_frames: Annotated[U32, Key(4)]
    tx_dropped_events: Annotated[U32, Key(5)]


class Temperature(NamedTuple):
    """What one sensor reads."""

    location: Name16
    millidegrees: Int


@dataclass(frozen=True, slots=True)
class StatsReply(Reply):
    """Counters and gauges since boot."""

    HEAD = Op.STATS
    uptime_us: Annotated[U64, Key(1)]
    idle_us: Annotated[U64, Key(2)]
    busy_us: Annotated[U64, Key(3)]
    boot_id: Annotated[U32, Key(4)]
    regions: Annotated[tuple[RegionUse, ...], AtMost(8), Key(5)]
    link: Annotated[LinkCounters, Key(6)]
    temperatures: Annotated[tuple[Temperature, ...] | None, AtMost(8), Key(7, optional=True)]
    temperature_emulated: Annotated[bool | None, Key(8, optional=True)]
    state: Annotated[U8, Key(9)]


@dataclass(frozen=True, slots=True)
class StatsRequest(Request[StatsReply]):
    """Asks for the board's counters, memory and temperatures."""

    HEAD = Op.STATS


@dataclass(frozen=True, slots=True)
class ResetReply(Reply):
    """The board is about to restart."""

    HEAD = Op.RESET


@dataclass(frozen=True, slots=True)
class ResetRequest(Request[ResetReply]):
    """Restart as at power-on."""

    HEAD = Op.RESET


@dataclass(frozen=True, slots=True)
class MemtestReply(Reply):
    """Whether every word was as expected; the first that was not."""

    HEAD = Op.MEMTEST
    passed: Annotated[bool, Key(1)]
    offset: Annotated[U32 | None, Key(2, optional=True)]
    expected: Annotated[U32 | None, Key(3, optional=True)]
    got: Annotated[U32 | None, Key(4, optional=True)]


@dataclass(frozen=True, slots=True)
class MemtestRequest(Request[MemtestReply]):
    """Test a piece of RAM, which drops the model there."""

    HEAD = Op.MEMTEST
    region: Annotated[U32, Key(1)]
    offset: Annotated[U32, Key(2)]
    length_bytes: Annotated[U32, Key(3)]
    pass_number: Annotated[U32, Key(4)]
    epoch: Annotated[U64, Key(5)]


@dataclass(frozen=True, slots=True)
class IdentifyReply(Reply):
    """The LED blinks from now on."""

    HEAD = Op.IDENTIFY


@dataclass(frozen=True, slots=True)
class IdentifyRequest(Request[IdentifyReply]):
    """Blink for a while, so that a person finds the board; 0 ends it."""

    HEAD = Op.IDENTIFY
    duration_ms: Annotated[U32, Key(1)]


@dataclass(frozen=True, slots=True)
class FaultReply(Reply):
    """The board misbehaves from now on."""

    HEAD = Op.FAULT
    accepted: Annotated[bool, Key(1)]


@dataclass(frozen=True, slots=True)
class FaultRequest(Request[FaultReply]):
    """Misbehave on purpose (test builds only)."""

    HEAD = Op.FAULT
    fault: Annotated[U32, Key(1)]
    parameter: Annotated[U32 | None, Key(2, optional=True)] = None


@dataclass(frozen=True, slots=True)
class BootEvent(Message):
    """The board has just started."""

    HEAD = Event.BOOT
    boot_id: Annotated[U32, Key(1)]
