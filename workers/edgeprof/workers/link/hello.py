"""HELLO's reply: a board's description of itself is checked, and turned into a Hello."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal, cast

from edgeprof.shared.errors import LinkFault
from edgeprof.shared.types.board import MemoryRegion
from edgeprof.shared.types.model import Quantization
from edgeprof.shared.types.wire import is_name
from edgeprof.workers.board.protocols import Hello
from edgeprof.workers.link.framing import MAX_PAYLOAD_BYTES
from edgeprof.workers.link.messages.board import (
    FlashModel,
    HelloReply,
    ProtocolVersion,
    RamModel,
    Region,
)
from edgeprof.workers.link.messages.codec import Key, Message, decode
from edgeprof.workers.link.messages.errors import version_fault
from edgeprof.workers.link.messages.operations import PROTOCOL
from edgeprof.workers.link.messages.payload import Payload

#: ggml's type ids.
QUANTIZATIONS = {
    0: Quantization.F32,
    1: Quantization.F16,
    2: Quantization.Q4_0,
    8: Quantization.Q8_0,
    35: Quantization.TQ2_0,
}
REGION_KINDS = {0: "ram", 1: "flash", 2: "stack"}
FEATURE_UPLOAD = 2
FEATURE_MEMTEST = 16
FEATURE_IDENTIFY = 32
FEATURE_PROFILE = 64

#: No board may ask for less (protocol, section 1).
LEAST_PAYLOAD_BYTES: Final = 256
_LEAST_WINDOW_BYTES: Final = 1100
_MOST_WINDOW_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True)
class _AnyHello(Message):
    """What a HELLO of every version has: the version is known before the rest is read."""

    protocol: Annotated[ProtocolVersion, Key(1)]


def read_hello(payload: Payload) -> HelloReply:
    """Check the version, then everything else. Raises LinkFault "version" or "bad_reply"."""
    major, minor = decode(_AnyHello, payload).protocol
    if major != PROTOCOL[0]:
        raise version_fault(f"{major}.{minor}", f"{PROTOCOL[0]}.{PROTOCOL[1]}")
    return decode(HelloReply, payload)


def payload_limit(reply: HelloReply) -> int:
    """Return how much a frame to this board may carry."""
    return max(LEAST_PAYLOAD_BYTES, min(reply.max_payload_bytes, MAX_PAYLOAD_BYTES))


def window_bytes(reply: HelloReply) -> int:
    """Return how many bytes of DATA frames may be on their way to this board."""
    if reply.rx_window_bytes > _MOST_WINDOW_BYTES:
        raise LinkFault(
            f"the board's receive window is out of range: {reply.rx_window_bytes}",
            code="bad_reply",
        )
    return max(_LEAST_WINDOW_BYTES, reply.rx_window_bytes)


def region_kind(value: int) -> Literal["ram", "flash", "stack"]:
    """Name of a region kind on the wire."""
    if value not in REGION_KINDS:
        raise LinkFault(f"the board has memory of an unknown kind {value}", code="bad_reply")
    return cast('Literal["ram", "flash", "stack"]', REGION_KINDS[value])


def parse_hello(reply: HelloReply, *, can_flash: bool) -> Hello:
    """Turn a HELLO into what the rest of the host knows of a board. Raises LinkFault."""
    if not is_name(reply.platform):  # it becomes a queue's name, and a label of metrics
        raise LinkFault("the board's platform is not a name", code="bad_reply")
    return Hello(
        uid=reply.uid.hex(),
        platform=reply.platform,
        firmware_version=reply.firmware_version,
        firmware_git_hash=reply.firmware_git_hash,
        toolchain=reply.toolchain,
        protocol=(reply.protocol.major, reply.protocol.minor),
        clock_hz=reply.clock_hz or None,
        timer_name=reply.timer.name,
        timer_resolution_ns=reply.timer.resolution_ns,
        emulated=reply.emulated,
        boot_id=reply.boot_id,
        regions=tuple(_region(region) for region in reply.regions),
        kernels=tuple(QUANTIZATIONS[kernel] for kernel in reply.kernels if kernel in QUANTIZATIONS),
        bauds=reply.bauds,
        flash_model_sha256=_held(reply.flash_model),
        ram_model_sha256=_held(reply.ram_model),
        features=reply.features,
        n_ctx_max=reply.n_ctx_max,
        can_upload=bool(reply.features & FEATURE_UPLOAD),
        can_flash=can_flash,
    )


def _region(region: Region) -> MemoryRegion:
    return MemoryRegion(
        name=region.name,
        kind=region_kind(region.kind),
        total_bytes=region.total_bytes,
        available_bytes=region.available_bytes,
    )


def _held(model: FlashModel | RamModel | None) -> str | None:
    """Hash of a model the board holds; an upload that has not all its bytes does not count."""
    if model is None or (isinstance(model, RamModel) and model.next_offset != model.size_bytes):
        return None
    return model.sha256.hex()
