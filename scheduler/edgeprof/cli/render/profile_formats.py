"""A profile for other programs: folded stacks for flame graphs, a trace for Perfetto."""

from __future__ import annotations

from collections.abc import Iterator

from edgeprof.shared.types.profile import Phase, Profile, ProfileCell


def folded(profile: Profile) -> str:
    """Return a line a stack, "decode;layer 0;q 65744": the number is ticks of the board's timer."""
    lines = [f"{';'.join(_stack(cell))} {cell.ticks}" for cell in profile.cells if cell.ticks]
    lines += [
        f"{phase};(profiling) {profile.unaccounted_ticks(phase)}"
        for phase in Phase
        if profile.unaccounted_ticks(phase)
    ]
    return "\n".join(lines)


def perfetto(profile: Profile, name: str) -> dict[str, object]:
    """Return a trace in Chrome's JSON format, which Perfetto opens.

    The board adds up and keeps no order: a slice is all time of an operator in a phase and layer,
    laid one after the other.
    """
    events: list[dict[str, object]] = [
        {"ph": "M", "pid": 1, "name": "process_name", "args": {"name": name}}
    ]
    at = 0.0
    for number, phase in enumerate(Phase):
        if not profile.window_ticks(phase):
            continue
        events.append(
            {"ph": "M", "pid": 1, "tid": number, "name": "thread_name", "args": {"name": phase}}
        )
        events += _slices(profile, phase, number, at)
        at += _us(profile, profile.window_ticks(phase))
    return {"displayTimeUnit": "ms", "traceEvents": events}


def _slices(
    profile: Profile, phase: Phase, thread: int, began_us: float
) -> Iterator[dict[str, object]]:
    at = began_us
    yield _slice(phase, thread, at, _us(profile, profile.window_ticks(phase)))
    layers = sorted(
        {cell.layer for cell in profile.cells if cell.phase is phase},
        key=lambda layer: (layer is None, layer or 0),
    )
    for layer in layers:
        cells = [c for c in profile.cells if c.phase is phase and c.layer == layer]
        total_us = _us(profile, sum(cell.ticks for cell in cells))
        yield _slice(_layer_name(layer), thread, at, total_us)
        for cell in cells:
            spent_us = _us(profile, cell.ticks)
            yield _slice(cell.operator, thread, at, spent_us) | {
                "args": {
                    "calls": cell.calls,
                    "ticks": cell.ticks,
                    "macs": cell.macs,
                    "weight_bytes": cell.weight_bytes,
                    "cache_bytes": cell.cache_bytes,
                }
            }
            at += spent_us


def _slice(name: str, thread: int, at_us: float, length_us: float) -> dict[str, object]:
    return {"ph": "X", "pid": 1, "tid": thread, "name": name, "ts": at_us, "dur": length_us}


def _us(profile: Profile, ticks: int) -> float:
    return ticks * 1e6 / profile.tick_hz


def _stack(cell: ProfileCell) -> tuple[str, str, str]:
    return cell.phase, _layer_name(cell.layer), cell.operator


def _layer_name(layer: int | None) -> str:
    return "outside layers" if layer is None else f"layer {layer}"
