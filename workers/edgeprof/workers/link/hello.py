"""HELLO's reply, checked field by field: what a board says of itself is not trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from edgeprof.shared.errors import LinkFault
from edgeprof.shared.types.board import MemoryRegion
from edgeprof.shared.types.model import Quantization
from edgeprof.shared.types.wire import is_name
from edgeprof.workers.board.board import Hello
from edgeprof.workers.link.messages import (
    PROTOCOL,
    Payload,
    get,
    get_list,
    get_map,
    get_text,
    get_uint,
    version_fault,
)

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
U32 = 2**32 - 1


@dataclass(frozen=True, slots=True)
class LinkHello:
    """Hello, and what only the link itself needs to know."""

    hello: Hello
    max_payload_bytes: int
    rx_window_bytes: int


def region_kind(value: int) -> Literal["ram", "flash", "stack"]:
    """Name of a region kind on the wire."""
    if value not in REGION_KINDS:
        raise LinkFault(f"the board has memory of an unknown kind {value}", code="bad_reply")
    return cast('Literal["ram", "flash", "stack"]', REGION_KINDS[value])


def parse_hello(reply: Payload, *, can_flash: bool) -> LinkHello:
    """Check and convert; raises LinkFault "version" or "bad_reply"."""
    version = get_list(reply, 1, "protocol version", 2)
    if len(version) != 2 or not all(isinstance(part, int) for part in version):
        raise LinkFault("the board's protocol version is malformed", code="bad_reply")
    major, minor = cast("list[int]", version)
    if major != PROTOCOL[0]:
        raise version_fault(f"{major}.{minor}", f"{PROTOCOL[0]}.{PROTOCOL[1]}")
    uid = get(reply, 2, bytes, "uid")
    if not 1 <= len(uid) <= 16:
        raise LinkFault("the board's uid is not 1 to 16 bytes", code="bad_reply")
    platform = get_text(reply, 3, "platform", 32)
    if not is_name(platform):  # a queue's name, a label of metrics
        raise LinkFault("the board's platform is not a name", code="bad_reply")
    timer = get_map(reply.get(8), "timer")
    features = get_uint(reply, 18, "features", U32)
    hello = Hello(
        uid=uid.hex(),
        platform=platform,
        firmware_version=get_text(reply, 4, "firmware version", 32),
        firmware_git_hash=get_text(reply, 5, "git hash", 40),
        toolchain=get_text(reply, 6, "toolchain", 48),
        protocol=(major, minor),
        clock_hz=get_uint(reply, 7, "clock", U32) or None,
        timer_name=get_text(timer, 1, "timer name", 16),
        timer_resolution_ns=get_uint(timer, 2, "timer resolution", U32),
        emulated=get(reply, 9, bool, "emulated flag"),
        boot_id=get_uint(reply, 10, "boot id", U32),
        regions=tuple(_region(item) for item in get_list(reply, 11, "memory regions", 8)),
        kernels=tuple(
            QUANTIZATIONS[item]
            for item in get_list(reply, 12, "kernels", 64)
            if isinstance(item, int) and item in QUANTIZATIONS
        ),
        bauds=tuple(
            item for item in get_list(reply, 15, "baud rates", 32) if isinstance(item, int)
        ),
        flash_model_sha256=_model(reply.get(16)),
        ram_model_sha256=_model(reply.get(17)),
        features=features,
        n_ctx_max=get_uint(reply, 19, "longest context", U32),
        can_upload=bool(features & FEATURE_UPLOAD),
        can_flash=can_flash,
    )
    return LinkHello(
        hello,
        max_payload_bytes=max(256, min(get_uint(reply, 13, "payload limit", U32), 1024)),
        rx_window_bytes=max(1100, get_uint(reply, 14, "receive window", 2**20)),
    )


def _region(item: object) -> MemoryRegion:
    fields = get_map(item, "memory region")
    return MemoryRegion(
        name=get_text(fields, 1, "region name", 16),
        kind=region_kind(get_uint(fields, 2, "region kind", 255)),
        total_bytes=get_uint(fields, 3, "region size", U32),
        available_bytes=get_uint(fields, 4, "region space", U32),
    )


def _model(item: object) -> str | None:
    """Hash of a model the board holds; an upload that has not all its bytes does not count."""
    if item is None:
        return None
    fields = get_map(item, "model")
    size = get_uint(fields, 2, "model size", U32)
    if 3 in fields and get_uint(fields, 3, "upload position", U32) != size:
        return None
    return get(fields, 1, bytes, "model hash").hex()
