"""A profile by position: what a token takes the further the text has come."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from edgeprof.shared.types.profile import Operator, Profile


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some positions of the context, one after the other."""

    first: int
    last: int
    #: Of the board's timer, over all tokens of the stretch.
    ticks: Mapping[Operator, int]
    tick_hz: int

    @property
    def n_tokens(self) -> int:
        """How many tokens stood there."""
        return self.last - self.first + 1

    def token_s(self, operators: Collection[Operator] = tuple(Operator)) -> float:
        """Return what a token took, in these operators."""
        ticks = sum(self.ticks[operator] for operator in operators)
        return ticks / self.tick_hz / self.n_tokens


def stretches(profile: Profile, n_prompt: int, n_gen: int) -> list[Stretch]:
    """Return the stretches of a profiled run, in their order."""
    each, positions = profile.bucket_positions, n_prompt + max(n_gen, 1) - 1
    return [
        Stretch(
            first=number * each,
            last=min((number + 1) * each, positions) - 1,
            ticks=dict(zip(Operator, ticks, strict=True)),
            tick_hz=profile.tick_hz,
        )
        for number, ticks in enumerate(profile.by_position)
        if number * each < positions
    ]
