"""What `edgeprof explain` says: operators with a bar each, layers, and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgeprof.cli.render.fitted_table import Column, Sheet
from edgeprof.client.humanize import SECONDS, Unit, unit_of
from edgeprof.client.prediction.advice import Choice
from edgeprof.client.prediction.predict import PastErrors
from edgeprof.client.prediction.roofline import OperatorUse
from edgeprof.client.prediction.stretches import Stretch
from edgeprof.shared.models.operators import ATTENTION
from edgeprof.shared.types.profile import Derived, Operator, Phase, Profile

_BAR: Final = 20
#: Characters of the longest bar by position.
_STRETCH: Final = 24
#: What only tokens do whose successor is wanted: generated ones, and the last of the prompt.
_HEAD: Final = frozenset({Operator.HEAD, Operator.ARGMAX})
#: Attention below this share is not worth a sentence.
_MATTERS: Final = 0.15
#: A profile that costs more says so.
_DEAR: Final = 0.05


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that is known about one phase of a profiled case."""

    phase: Phase
    #: How many tokens the phase ran: prompt tokens, or decode steps.
    n_tokens: int
    profile: Profile
    uses: Sequence[OperatorUse]
    layers: dict[int | None, int]
    derived: Derived | None
    choices: Sequence[Choice]
    errors: PastErrors | None
    #: Why there are no choices; "" when they were looked for.
    no_choices_because: str
    tokens_per_second: float
    #: Both phases together.
    by_position: Sequence[Stretch] = ()
    #: Commands that would tell more, or try the first choice; in words and whole.
    try_it: str | None = None
    profile_another: str | None = None
    #: The type of KV cache of which nothing is known here.
    unknown_cache: str | None = None


def operators_sheet(e: Explanation) -> Sheet:
    """Return the operators, the longest first, and what no operator has."""
    sheet = Sheet(
        [
            Column("operator"),
            Column("share", right=True),
            Column("", leave=3),
            Column("a token", right=True),
            Column("MMAC/s", leave=2, right=True),
            Column("of ceiling", leave=1, right=True),
            Column("binds", leave=0),
        ]
    )
    rest = e.profile.unaccounted_ticks(e.phase) / e.profile.tick_hz
    window = e.profile.window_ticks(e.phase) / e.profile.tick_hz
    unit = unit_of(SECONDS, [use.seconds / e.n_tokens for use in e.uses])
    for use in e.uses:
        rate, reached = use.macs_per_second, use.reached
        sheet.add(
            use.operator,
            f"{use.share:.1%}",
            _bar(use.share),
            unit(use.seconds / e.n_tokens),
            "" if rate is None else f"{rate / 1e6:.1f}",
            "" if reached is None else f"{reached:.0%}",
            use.binds or "",
        )
    sheet.add_section()
    sheet.add("(profiling)", f"{rest / window:.1%}", "", unit(rest / e.n_tokens), "", "", "")
    return sheet


def layers_sheet(e: Explanation) -> Sheet:
    """Return the layers in their order; what belongs to none comes last."""
    sheet = Sheet(
        [Column("layer"), Column("share", right=True), Column("", leave=0), _right("a token")]
    )
    window = e.profile.window_ticks(e.phase)
    ordered = sorted(e.layers.items(), key=lambda item: (item[0] is None, item[0] or 0))
    unit = _per_token(e, [ticks for _, ticks in ordered])
    for layer, ticks in ordered:
        share = ticks / window
        seconds = ticks / e.profile.tick_hz / e.n_tokens
        name = "outside" if layer is None else str(layer)
        sheet.add(name, f"{share:.1%}", _bar(share), unit(seconds))
    return sheet


def positions_sheet(e: Explanation) -> Sheet:
    """Return what a token takes by its position, prompt and generated ones; each tick is there."""
    sheet = Sheet(
        [
            _right("positions"),
            _right("a token"),
            Column("rest █ attention ░ head ▒", leave=1),
            _right("attention"),
            _right("head"),
            Column("rest", leave=0, right=True),
        ]
    )
    most = max(stretch.token_s() for stretch in e.by_position)
    unit = unit_of(SECONDS, [stretch.token_s() for stretch in e.by_position])
    for stretch in e.by_position:
        attention, head = stretch.token_s(ATTENTION), stretch.token_s(_HEAD)
        rest = stretch.token_s() - attention - head
        ends = [round(s / most * _STRETCH) for s in (rest, rest + attention, stretch.token_s())]
        bar = "█" * ends[0] + "░" * (ends[1] - ends[0]) + "▒" * (ends[2] - ends[1])
        sheet.add(
            f"{stretch.first}-{stretch.last}",
            unit(stretch.token_s()),
            bar,
            *map(unit, (attention, head, rest)),
        )
    return sheet


def sentences(e: Explanation) -> list[str]:
    """Say in plain words where the time goes, what binds it, and what would help most."""
    return [_where(e), _binds(e), _helps(e), *_unknown(e), *_warnings(e)]


def _right(heading: str) -> Column:
    return Column(heading, right=True)


def _per_token(e: Explanation, ticks: Sequence[int]) -> Unit:
    return unit_of(SECONDS, [n / e.profile.tick_hz / e.n_tokens for n in ticks])


def _bar(share: float) -> str:
    eighths = round(share * _BAR * 8)
    whole, part = divmod(eighths, 8)
    return "█" * whole + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[part]


def _where(e: Explanation) -> str:
    first = [use for use in e.uses if use.share >= 0.05][:3] or list(e.uses[:1])
    names = ", ".join(f"{use.operator} {use.share:.0%}" for use in first)
    matrices = sum(use.share for use in e.uses if use.weight_bytes and use.macs > use.calls)
    return (
        f"Where the time goes: {names}; products with weights take {matrices:.0%} of {e.phase}"
        f" ({e.tokens_per_second:.4g} tokens/s)."
    )


def _binds(e: Explanation) -> str:
    shares = {"compute": 0.0, "weights": 0.0}
    for use in e.uses:
        if use.binds is not None:
            shares[use.binds] += use.share
    known = sum(shares.values())
    if not known:
        return "What binds it: not known, because the board's ceilings were not measured."
    what = max(shares, key=lambda name: shares[name])
    reached = [use for use in e.uses if use.binds == what and use.reached is not None]
    time = sum(use.seconds for use in reached)
    share = sum(use.seconds * (use.reached or 0) for use in reached) / time
    words = {
        "compute": "the core's arithmetic, not the reading of weights",
        "weights": "the reading of weights, not the arithmetic",
    }
    return (
        f"What binds it: {words[what]}, in {shares[what]:.0%} of the time; these products reach"
        f" {share:.0%} of what the board can do. {1 - known:.0%} have no ceiling."
    )


def _helps(e: Explanation) -> str:
    if not e.choices:
        why = e.no_choices_because or "nothing that can be predicted would give 2 % or more"
        return f"What would help most: {why}."
    best, *others = e.choices
    rate = f", {e.tokens_per_second * best.decode_ratio:.4g} tokens/s" if _decodes(e) else ""
    also = [f"{choice.what} {choice.decode_ratio - 1:+.0%}" for choice in others[:2]]
    return (
        f"What would help most: {best.what}, predicted {best.decode_ratio - 1:+.0%} decode{rate}"
        f"{'; also ' if also else ''}{', '.join(also)}. {_error(e)}"
    )


def _is_of_new_type(e: Explanation) -> bool:
    return bool(e.choices) and e.choices[0].of_new_type


def _decodes(e: Explanation) -> bool:
    return e.phase is Phase.DECODE


def _error(e: Explanation) -> str:
    new = _is_of_new_type(e)
    if e.errors is None:
        what, why = ("of a new type ", "type") if new else ("", "model")
        return f"How far off predictions {what}are here is not known: only one {why} was profiled."
    of = " of types without a profile" if new else ""
    return (
        f"Predictions{of} were off by {e.errors.median:.1%} (median), {e.errors.p90:.1%} (90 % of"
        f" {e.errors.n}) here."
    )


def commands(e: Explanation) -> list[str]:
    """Return what to do next: commands to copy, each with what it is for."""
    found = [f"Try it: {e.try_it}"] if e.try_it else []
    if e.errors is None and e.profile_another and not _is_of_new_type(e):
        found.append(f"To know the error: {e.profile_another}")
    return found


def _unknown(e: Explanation) -> list[str]:
    """Say what is not known of attention, where it takes enough to matter."""
    share = sum(use.share for use in e.uses if use.operator in ATTENTION)
    if e.unknown_cache is None or share < _MATTERS:
        return []
    said = (
        f"Attention takes {share:.0%}. Whether a KV cache of {e.unknown_cache} is faster is not"
        f" known here: no profile has one (--kv-type {e.unknown_cache} --profile)."
    )
    return [said]


def _warnings(e: Explanation) -> list[str]:
    found = []
    cost = e.profile.cost_of_looking
    if cost is not None:
        dear = " More than 5 %: small operators look larger than they are." if cost > _DEAR else ""
        found.append(f"Looking made the run {cost:.1%} longer; it is in no measured number.{dear}")
    if not e.profile.by_layer:
        found.append("The board had no room to tell layers apart.")
    return found
