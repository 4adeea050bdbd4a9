"""Costs fitted to profiles of known costs, and what is predicted from them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeprof.client.prediction import advice
from edgeprof.client.prediction.advice import Asked
from edgeprof.client.prediction.costs import fit
from edgeprof.client.prediction.predict import past_errors, predict
from edgeprof.client.prediction.roofline import by_operator
from edgeprof.client.prediction.stretches import stretches
from edgeprof.client.prediction.terms import MATRICES
from edgeprof.shared.types.profile import Ceilings, Operator, Phase, Profile
from tests.support.priced_platform import CEILINGS, N_GEN, N_PROMPT, TICK_HZ, dimensions, measured


def test_another_shape_is_predicted() -> None:
    """Two shapes tell the costs of every term, and so the time of a third."""
    costs = fit([measured(dimensions()), measured(dimensions(dim=128, hidden=256))])
    other = dimensions(dim=96, hidden=384, n_layers=3)
    truth = measured(other)

    found = predict(costs, other, N_PROMPT, N_GEN)

    assert found is not None
    assert found.prefill_s == pytest.approx(truth.prefill_s, rel=1e-3)
    assert found.decode_s == pytest.approx(truth.decode_s, rel=1e-3)


def test_batches_of_a_prompt_have_their_own_cost() -> None:
    """Where a board takes positions of a prompt together, the profile of prefill has batches and
    single positions in one cell: decode tells the single ones' cost. A type that was not profiled
    in batches is scaled; a model that leaves no room has none; and a batch has no ceiling, since
    none was measured."""
    shapes = [dimensions(), dimensions(dim=128, hidden=256)]
    costs = fit([measured(shape, batched=True) for shape in shapes])

    for other in (dimensions(dim=96, hidden=384, n_layers=3), dimensions("Q4_0")):
        found, truth = predict(costs, other, N_PROMPT, N_GEN), measured(other, batched=True)
        assert found is not None
        assert found.prefill_s == pytest.approx(truth.prefill_s, rel=0.02)
        assert found.prefill_s < 0.9 * measured(other).prefill_s
    cramped = replace(costs, ram_bytes={"sram": 16 << 10})
    found = predict(cramped, shapes[0], N_PROMPT, N_GEN)
    assert found is not None
    assert found.prefill_s == pytest.approx(measured(shapes[0]).prefill_s, rel=0.02)
    profile = measured(shapes[0], batched=True).profile
    assert profile is not None
    uses = by_operator(profile, Phase.PREFILL, shapes[0], CEILINGS)
    assert {use.operator for use in uses if use.reached is not None} == {Operator.HEAD}


def test_type_without_a_profile_is_scaled_by_its_ceiling() -> None:
    """A kernel's ceiling says how much faster its products are; all else stays."""
    costs = fit([measured(dimensions("Q8_0")), measured(dimensions("Q8_0", dim=128, hidden=256))])

    found = predict(costs, dimensions("Q4_0"), N_PROMPT, N_GEN)

    assert found is not None
    assert found.decode_s == pytest.approx(measured(dimensions("Q4_0")).decode_s, rel=0.02)


def test_type_without_profile_and_ceiling_is_not_guessed() -> None:
    """Where nothing says how fast a type is there is no prediction, rather than a wrong one."""
    sample = replace(measured(dimensions()), ceilings=None)

    assert predict(fit([sample]), dimensions("Q4_0"), N_PROMPT, N_GEN) is None
    assert predict(fit([]), dimensions(), N_PROMPT, N_GEN) is None


def test_cost_of_looking_is_not_predicted() -> None:
    """What reading the timer adds to every operator is taken off: a plain run is predicted."""
    plain = measured(dimensions())
    assert plain.profile is not None
    dear = [
        cell.model_copy(update={"ticks": cell.ticks + 50 * cell.calls})
        for cell in plain.profile.cells
    ]
    slow = replace(plain, profile=plain.profile.model_copy(update={"cells": tuple(dear)}))

    found = predict(fit([slow]), plain.dimensions, N_PROMPT, N_GEN)

    assert found is not None
    assert found.run_s == pytest.approx(plain.prefill_s + plain.decode_s, rel=0.01)


def test_errors_are_of_models_that_were_held_out() -> None:
    """No model is predicted from itself: one alone has no error, three have theirs."""
    one = [measured(dimensions()), measured(dimensions(), profiled=False)]
    three = [*one, measured(dimensions(dim=128, hidden=256)), measured(dimensions(n_layers=5))]

    assert past_errors(one) is None
    errors = past_errors(three)
    assert errors is not None
    assert errors.n == 8
    assert errors.median <= errors.p90 < 0.3


def test_choices_are_those_that_help() -> None:
    """Faster types come first, with the option that asks for them; slower ones are not told."""
    costs = fit(
        [measured(dimensions(kind, dim=dim)) for kind in ("Q8_0", "Q4_0") for dim in (64, 128)]
    )

    from_q8 = advice.choices(costs, Asked(dimensions("Q8_0"), N_PROMPT, N_GEN))
    from_q4 = advice.choices(costs, Asked(dimensions("Q4_0"), N_PROMPT, N_GEN))

    assert from_q8[0].option == "-q Q4_0"
    assert from_q8[0].decode_ratio > 1.02
    assert "-q Q8_0" not in {choice.option for choice in from_q4}


def test_weights_in_faster_memory_are_a_choice() -> None:
    """Where a profile has had weights in another region, and that was faster, it is told."""
    slow = [measured(dimensions(dim=dim)) for dim in (64, 128)]
    fast = [
        replace(
            sample,
            dimensions=sample.dimensions.model_copy(update={"weights_region": "sram"}),
            profile=faster(sample.profile),
        )
        for sample in slow
    ]

    found = advice.choices(fit([*slow, *fast]), Asked(dimensions(), N_PROMPT, N_GEN))

    assert "weights in sram instead of flash" in {choice.what for choice in found}


def faster(profile: Profile | None) -> Profile:
    """The same profile with products that took half the time."""
    assert profile is not None
    cells = tuple(
        cell.model_copy(update={"ticks": cell.ticks // 2}) if cell.operator in MATRICES else cell
        for cell in profile.cells
    )
    return profile.model_copy(update={"cells": cells})


def test_roofline_has_no_ceiling_where_none_was_measured() -> None:
    """Products reach a share of the lower ceiling, which binds; other operators have none."""
    sample = measured(dimensions())
    assert sample.profile is not None

    uses = by_operator(sample.profile, Phase.DECODE, sample.dimensions, CEILINGS)
    without = by_operator(sample.profile, Phase.DECODE, sample.dimensions, None)

    assert sum(use.share for use in uses) == pytest.approx(1, abs=0.01)
    for use in uses:
        if use.operator in {Operator.UP, Operator.HEAD}:
            assert use.binds == "compute"
            assert use.reached is not None
            assert 0.5 < use.reached <= 1.01
        if use.operator in {Operator.NORM, Operator.SCORES}:
            assert (use.binds, use.reached) == (None, None)
    assert {use.binds for use in without} == {None}


def test_stretches_hold_every_tick_and_every_position() -> None:
    """A profile by position ends where the run did; what a token took there follows from it."""
    n = len(Operator)
    profile = measured(dimensions()).profile
    assert profile is not None
    by_position = tuple((row,) * n for row in (8, 16, 18, 0))

    found = stretches(profile.model_copy(update={"by_position": by_position}), N_PROMPT - 6, 4)

    assert [(each.first, each.last) for each in found] == [(0, 1), (2, 3), (4, 4)]
    assert [each.token_s() * TICK_HZ for each in found] == pytest.approx([4 * n, 8 * n, 18 * n])


def test_a_kernel_reads_no_faster_than_the_ceiling() -> None:
    """A host's kernels read more at a time than the board's sum of words: theirs is the rate."""
    assert CEILINGS.read_bytes_per_second("flash") == 1e9
    fast = CEILINGS.kernels[0].model_copy(
        update={"region": "flash", "weight_bytes_per_second": 4e9}
    )
    assert CEILINGS.model_copy(update={"kernels": (fast,)}).read_bytes_per_second("flash") == 4e9
    assert CEILINGS.read_bytes_per_second("psram") is None


def test_a_type_is_advised_only_where_the_model_bears_it() -> None:
    """Two bits are for a model that was trained for them; what its memory has no room for is left
    out; another head is a choice of its own, and stays where one was asked for."""
    wide = dimensions("F32", dim=256, hidden=512)
    costs = fit([measured(dimensions(kind, dim=256)) for kind in ("F32", "Q8_0", "Q4_0")])
    costs = replace(costs, ceilings=with_ternary(CEILINGS))
    job = Asked(wide, N_PROMPT, N_GEN)

    def options(asked: Asked) -> set[str | None]:
        return {choice.option for choice in advice.choices(costs, asked)}

    assert {"-q Q8_0", "-q Q4_0", "--head Q8_0", "--head Q4_0"} <= options(job)
    assert "-q TQ2_0" not in options(job)
    assert "-q TQ2_0" in options(replace(job, trained_as=("TQ2_0", "F32")))

    swapped = {"Q8_0": "Q4_0", "Q4_0": "Q8_0"}  # the larger type is the faster one
    costs = replace(
        costs,
        by_key={
            key._replace(kind=swapped.get(key.kind, key.kind)): cost
            for key, cost in costs.by_key.items()
        },
    )
    small = Asked(dimensions("Q4_0", dim=256, hidden=512), N_PROMPT, N_GEN)
    assert "-q Q8_0" in options(small)
    assert "-q Q8_0" not in options(replace(small, spare_bytes=100_000))


def with_ternary(ceilings: Ceilings) -> Ceilings:
    """The same with a kernel of two bits, twice as fast as the first."""
    first = ceilings.kernels[0]
    update = {"quantization": "TQ2_0", "macs_per_second": 2 * first.macs_per_second}
    return ceilings.model_copy(
        update={"kernels": (*ceilings.kernels, first.model_copy(update=update))}
    )
