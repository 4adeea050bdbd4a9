"""Turns a board's counters, memory and temperatures into values for the rest of the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from edgeprof.shared.types.result import MemoryUse, RegionUse
from edgeprof.workers.board.protocols import BoardStats
from edgeprof.workers.link.hello import region_kind
from edgeprof.workers.link.messages import board, model


def parse_stats(reply: board.StatsReply, host_counters: Mapping[str, int]) -> BoardStats:
    """Turn STATS' reply into BoardStats, with the host's own link counters beside the board's."""
    counters = {field.name: getattr(reply.link, field.name) for field in fields(reply.link)}
    temperatures = reply.temperatures
    return BoardStats(
        uptime_us=reply.uptime_us,
        idle_us=reply.idle_us,
        busy_us=reply.busy_us,
        boot_id=reply.boot_id,
        regions=tuple(_region_use(region) for region in reply.regions),
        link={**counters, **host_counters},
        temperature_celsius=None
        if temperatures is None
        else {each.location: each.millidegrees / 1000 for each in temperatures},
        temperature_emulated=reply.temperature_emulated is True,
    )


def parse_memory(reply: model.LoadReply) -> tuple[MemoryUse, ...]:
    """Return LOAD's list of what went where."""
    return tuple(
        MemoryUse(category=use.category, region=use.region, used_bytes=use.used_bytes)
        for use in reply.memory
    )


def _region_use(region: board.RegionUse) -> RegionUse:
    return RegionUse(
        name=region.name,
        kind=region_kind(region.kind),
        total_bytes=region.total_bytes,
        used_bytes=region.used_bytes,
        high_water_bytes=region.high_water_bytes,
    )
