"""Measures what a board could do at best: READ_SPEED of each region, KERNEL_SPEED of each type."""

from __future__ import annotations

from typing import Final

from edgeprof.shared.errors import BoardFault, ModelError
from edgeprof.shared.types.board import MemoryRegion
from edgeprof.shared.types.model import Quantization
from edgeprof.shared.types.profile import Ceilings, KernelCeiling, ReadCeiling
from edgeprof.workers.board.protocols import Hello
from edgeprof.workers.link.client import LinkClient
from edgeprof.workers.link.hello import QUANTIZATIONS
from edgeprof.workers.link.messages.profile import KernelSpeedRequest, ReadSpeedRequest

#: One stretch that fits the cache of every chip that has one, and one that fits none.
READ_LENGTHS_BYTES: Final = (4096, 256 * 1024)
_READ_STEP_BYTES: Final = 32
_TYPES: Final = {kind: number for number, kind in QUANTIZATIONS.items()}


def measure_ceilings(client: LinkClient, hello: Hello, epoch: int) -> Ceilings:
    """Return the ceilings of a board; a type without room for its data is left out."""
    reads = [
        _read(client, index, region, length, epoch)
        for index, region in enumerate(hello.regions)
        for length in _lengths(region)
    ]
    kernels = [_kernel(client, kind, epoch) for kind in hello.kernels]
    return Ceilings(
        firmware_git_hash=hello.firmware_git_hash,
        clock_hz=hello.clock_hz,
        reads=tuple(reads),
        kernels=tuple(kernel for kernel in kernels if kernel is not None),
    )


def _lengths(region: MemoryRegion) -> list[int]:
    if region.kind == "stack":
        return []
    whole = region.available_bytes // _READ_STEP_BYTES * _READ_STEP_BYTES
    return sorted({min(length, whole) for length in READ_LENGTHS_BYTES} - {0})


def _read(
    client: LinkClient, index: int, region: MemoryRegion, length: int, epoch: int
) -> ReadCeiling:
    reply = client.request(ReadSpeedRequest(region=index, length_bytes=length, epoch=epoch))
    return ReadCeiling(
        region=region.name,
        length_bytes=length,
        first_bytes_per_second=_rate(length, reply.first_ticks, reply.tick_hz),
        again_bytes_per_second=_rate(length, reply.again_ticks, reply.tick_hz),
    )


def _kernel(client: LinkClient, kind: Quantization, epoch: int) -> KernelCeiling | None:
    try:
        reply = client.request(KernelSpeedRequest(type=_TYPES[kind], epoch=epoch))
    except ModelError as error:
        if error.code != "no_memory":
            raise
        return None
    return KernelCeiling(
        quantization=kind,
        region=reply.region,
        rows=reply.rows,
        macs_per_second=_rate(reply.macs, reply.ticks, reply.tick_hz),
        weight_bytes_per_second=_rate(reply.weight_bytes, reply.ticks, reply.tick_hz),
    )


def _rate(amount: int, ticks: int, tick_hz: int) -> float:
    if ticks == 0 or tick_hz == 0:
        raise BoardFault("the board's timer stood still during a measurement", code="timer_stuck")
    return amount * tick_hz / ticks
