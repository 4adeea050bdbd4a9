"""A board as its worker announces it, and the states it goes through."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Literal

from pydantic import Field

from edgeprof.shared.types.model import Quantization
from edgeprof.shared.types.wire import Name, TolerantModel


class BoardState(StrEnum):
    """What a board is doing, as its worker last said."""

    ONLINE = "online"
    BUSY = "busy"
    DRAINING = "draining"
    QUARANTINED = "quarantined"
    OFFLINE = "offline"


class MemoryRegion(TolerantModel):
    """A stretch of a board's memory, as its HELLO describes it."""

    name: str
    kind: Literal["ram", "flash", "stack"]
    total_bytes: int
    #: What a model or its state could take.
    available_bytes: int


class FirmwareAndClock(TolerantModel):
    """What a board says of its firmware and its clock.

    HELLO, the announcement (BoardInfo) and the result (Identity) of a board all have these fields.
    """

    #: Whether the board is a process or a simulator, and no silicon.
    emulated: bool
    firmware_version: str
    firmware_git_hash: str
    toolchain: str
    #: Of the link: major, minor.
    protocol: tuple[int, int]
    #: None where the chip states none (QEMU's virt machine, a process).
    clock_hz: int | None
    timer_name: str
    timer_resolution_ns: int

    def firmware_and_clock(self) -> dict[str, Any]:
        """Return these fields by name, for another record of the same board."""
        return {name: getattr(self, name) for name in FirmwareAndClock.model_fields}


class Reservation(TolerantModel):
    """A time in which a board gets only one user's jobs."""

    user: str
    #: Seconds since the epoch by Redis' clock.
    until_s: float
    reason: str = ""


class BoardInfo(FirmwareAndClock):
    """A board, as its worker last announced it; enough to decide whether a model fits."""

    largest_bytes: ClassVar[int] = 64 * 1024

    device_id: Name
    platform: Name
    host: str
    url: str
    uid: str
    state: BoardState
    regions: tuple[MemoryRegion, ...]
    kernels: tuple[Quantization, ...]
    n_ctx_max: int
    #: Whether a model can be put into flash without a person (QEMU's loader, or a flash tool).
    can_flash: bool
    can_upload: bool
    #: Of the edgeprof that drives it; "" for one that did not say.
    agent_version: str = ""
    #: Of the firmware that its agent would put onto it; "" when it has none for this board.
    agent_firmware_git_hash: str = ""
    #: What boards.toml says of it: on which shelf it is, or what it has. Jobs can require them.
    tags: dict[str, str] = Field(default_factory=dict)
    #: The rate in baud at which its port is opened; None: its agent is too old to say.
    baud: int | None = None
    #: How fast the last model went over its link; None until one has.
    upload_bytes_per_s: float | None = None
    reason: str = ""
    job_id: str | None = None
    #: Whose job that is.
    job_user: str = ""
    #: Who has it for himself now; the store sets it.
    reservation: Reservation | None = None
    #: Seconds since the epoch by Redis' clock, of the last announcement.
    seen_s: float = 0.0
