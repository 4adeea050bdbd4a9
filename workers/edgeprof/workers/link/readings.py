"""Counters, memory and temperatures as a board tells them, checked."""

from __future__ import annotations

from edgeprof.shared.errors import LinkFault
from edgeprof.shared.types.result import MemoryUse, RegionUse
from edgeprof.workers.board.board import BoardStats
from edgeprof.workers.link.hello import U32, region_kind
from edgeprof.workers.link.messages import Payload, get_list, get_map, get_text, get_uint

_LINK_COUNTERS = ("rx_frames", "rx_errors", "rx_overruns", "tx_frames", "tx_dropped_events")


def parse_stats(reply: Payload, host_counters: dict[str, int]) -> BoardStats:
    """Turn STATS' reply into BoardStats; the host's own link counters stand beside the board's."""
    link = get_map(reply.get(6), "link counters")
    counters = {name: get_uint(link, i, name) for i, name in enumerate(_LINK_COUNTERS, 1)}
    return BoardStats(
        uptime_us=get_uint(reply, 1, "uptime"),
        idle_us=get_uint(reply, 2, "idle time"),
        busy_us=get_uint(reply, 3, "busy time"),
        boot_id=get_uint(reply, 4, "boot id", U32),
        regions=tuple(_region_use(item) for item in get_list(reply, 5, "regions", 8)),
        link={**counters, **host_counters},
        temperature_celsius=_temperatures(reply),
        temperature_emulated=reply.get(8) is True,
    )


def parse_memory(reply: Payload) -> tuple[MemoryUse, ...]:
    """LOAD's list of what went where."""
    return tuple(_memory_use(item) for item in get_list(reply, 3, "memory list", 16))


def _memory_use(item: object) -> MemoryUse:
    fields = get_map(item, "memory entry")
    return MemoryUse(
        category=get_text(fields, 1, "memory category", 16),
        region=get_text(fields, 2, "region name", 16),
        used_bytes=get_uint(fields, 3, "memory size", U32),
    )


def _region_use(item: object) -> RegionUse:
    fields = get_map(item, "region")
    return RegionUse(
        name=get_text(fields, 1, "region name", 16),
        kind=region_kind(get_uint(fields, 2, "region kind", 255)),
        total_bytes=get_uint(fields, 3, "region size", U32),
        used_bytes=get_uint(fields, 4, "region use", U32),
        high_water_bytes=get_uint(fields, 5, "region high water", U32),
    )


def _temperatures(reply: Payload) -> dict[str, float] | None:
    if 7 not in reply:
        return None
    found: dict[str, float] = {}
    for item in get_list(reply, 7, "temperatures", 8):
        if not isinstance(item, list) or len(item) != 2:
            raise LinkFault("malformed temperature", code="bad_reply")
        location, millidegrees = item
        if not isinstance(millidegrees, int):
            raise LinkFault("malformed temperature", code="bad_reply")
        found[get_text({0: location}, 0, "sensor's name", 16)] = millidegrees / 1000
    return found
