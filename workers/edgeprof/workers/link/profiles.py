"""Reads a profile back from a board: PROFILE_RESULT until there is no more of it."""

from __future__ import annotations

from edgeprof.shared.types.profile import Operator, Phase, Profile, ProfileCell
from edgeprof.workers.link.client import LinkClient
from edgeprof.workers.link.messages.profile import Cell, ProfileResultReply, ProfileResultRequest
from edgeprof.workers.link.messages.wire_types import malformed

_OPERATORS = tuple(Operator)
_PHASES = tuple(Phase)


def read_profile(client: LinkClient, run_id: int, *, by_layer: bool) -> Profile:
    """Return the profile of a run that is done. Raises LinkFault, BoardFault."""
    cells: list[ProfileCell] = []
    by_position: list[int] = []
    first = 0
    while True:
        reply = client.request(ProfileResultRequest(run_id=run_id, first=first))
        client.check_boot(reply.boot_id)
        cells += map(_cell, reply.cells)
        by_position += reply.by_position
        if reply.next is None:
            return _profile(reply, cells, by_position, by_layer=by_layer)
        if reply.next <= first:
            raise malformed("profile-result-reply.next", "does not go on")
        first = reply.next


def _cell(cell: Cell) -> ProfileCell:
    if cell.phase >= len(_PHASES):
        raise malformed("cell.phase", f"is out of range: {cell.phase}")
    if cell.operator >= len(_OPERATORS):
        raise malformed("cell.operator", f"is out of range: {cell.operator}")
    return ProfileCell(
        phase=_PHASES[cell.phase],
        operator=_OPERATORS[cell.operator],
        layer=cell.layer,
        calls=cell.calls,
        ticks=cell.ticks,
        macs=cell.macs,
        weight_bytes=cell.weight_bytes,
        cache_bytes=cell.cache_bytes,
    )


def _profile(
    reply: ProfileResultReply, cells: list[ProfileCell], by_position: list[int], *, by_layer: bool
) -> Profile:
    if len(reply.window_ticks) != len(_PHASES):
        raise malformed("profile-result-reply.window_ticks", "has not two places")
    if reply.tick_hz == 0:
        raise malformed("profile-result-reply.tick_hz", "is 0")
    width = len(_OPERATORS)
    if len(by_position) % width:
        raise malformed("profile-result-reply.by_position", "is no whole table")
    profile = Profile(
        tick_hz=reply.tick_hz,
        by_layer=by_layer,
        cells=tuple(cells),
        prefill_ticks=reply.window_ticks[0],
        decode_ticks=reply.window_ticks[1],
        bucket_positions=reply.bucket_positions,
        by_position=tuple(
            tuple(by_position[at : at + width]) for at in range(0, len(by_position), width)
        ),
    )
    for phase in Phase:
        if profile.unaccounted_ticks(phase) < 0:
            raise malformed(
                "profile-result-reply.cells", f"have more ticks than the window of {phase}"
            )
    return profile
