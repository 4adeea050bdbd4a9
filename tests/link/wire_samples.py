"""Sound messages that several tests of the link start from."""

from __future__ import annotations

from edgeprof.workers.link.messages.board import HelloReply, ProtocolVersion, Region, Timer

HELLO = HelloReply(
    protocol=ProtocolVersion(1, 1),
    uid=b"\x01\x02",
    platform="native",
    firmware_version="0.1.0",
    firmware_git_hash="unknown",
    toolchain="gcc 12",
    clock_hz=0,
    timer=Timer("CLOCK_MONOTONIC", 1),
    emulated=True,
    boot_id=99,
    regions=(Region("ram", 0, 65536, 65536),),
    kernels=(0, 1),
    max_payload_bytes=1024,
    rx_window_bytes=2048,
    bauds=(),
    flash_model=None,
    ram_model=None,
    features=3,
    n_ctx_max=512,
)
