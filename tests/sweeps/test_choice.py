"""The Pareto frontier, and the row that is recommended within limits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.client.choice import Limits, frontier, recommended
from edgeprof.client.sweep_rows import SweepRow
from tests.sweeps.made_rows import row, scored

F32 = scored("F32", 50, 20.0, ram_bytes=90_000)
Q8 = scored("Q8_0", 139, 20.1)
Q4 = scored("Q4_0", 141, 24.6)


def taken(rows: list[SweepRow], **limits: Any) -> str | None:
    best = recommended(rows, Limits(**limits))
    return None if best is None else best.made_as


def test_the_fastest_that_is_accurate_enough_is_taken() -> None:
    """Without limits of one's own, a row that costs more than 5 % perplexity is not taken, however
    fast; with another limit it is."""
    rows = [F32, Q8, Q4]

    assert taken(rows) == "Q8_0"
    assert taken(rows, ppl_increase=0.3) == "Q4_0"
    assert taken(rows, ppl_increase=0.001) == "F32"


@pytest.mark.parametrize(
    ("limits", "best"),
    [
        ({"ram_bytes": 39_999}, None),
        ({"ram_bytes": 40_000}, "Q8_0"),
        ({"ppl_increase": 0.0, "ram_bytes": 40_000}, None),
        ({"ttft_s": 0.5}, "Q8_0"),
        ({"ttft_s": 0.4}, None),
    ],
)
def test_a_limit_admits_what_is_just_within(limits: dict[str, float], best: str | None) -> None:
    """A limit is the most that a row may have; when none is within all of them, none is taken."""
    assert taken([F32, Q8, Q4], **limits) == best


def test_what_was_not_measured_is_not_within_a_limit() -> None:
    """A row without RAM or perplexity is not taken where these are limited; a sweep that has no
    perplexity at all is judged by the rest."""
    unknown = row("F16", 500, ram_bytes=None)

    assert taken([Q8, unknown]) == "Q8_0"
    assert taken([row("F16", 500), row("F32", 20)]) == "F16"
    assert taken([unknown], ram_bytes=10**9) is None


def test_a_choice_has_to_be_good_in_every_test() -> None:
    """What is over a limit in one test, or was not measured in one, is not taken; the slowest test
    decides."""
    short, long = {"test": "pp16"}, {"test": "pp256"}
    rows = [
        scored("Q8_0", 139, 20, **short), scored("Q8_0", 90, 20, **long),
        scored("Q4_0", 141, 20, **short), scored("Q4_0", 80, 20, **long),
        scored("F16", 300, 20, **short),
        scored("TQ2_0", 400, 20, **short), scored("TQ2_0", 400, 20, ttft_s=2.0, **long),
    ]  # fmt: skip

    best = recommended(rows, Limits(ttft_s=1.0))

    assert best is not None
    assert (best.made_as, best.test) == ("Q8_0", "pp256")


def test_equally_fast_rows_are_told_apart_by_perplexity_and_memory() -> None:
    """Of equally fast rows the one with less perplexity is taken, then the one with less RAM."""
    assert taken([scored("F32", 50, 20.2), scored("F16", 50, 20.0)]) == "F16"
    assert taken([scored("F32", 50, 20, ram_bytes=2), scored("F16", 50, 20, ram_bytes=1)]) == "F16"


def test_the_frontier_has_what_nothing_beats() -> None:
    """A row that another beats in speed, perplexity and RAM is not on the frontier; a trade is."""
    found = frontier([F32, Q8, Q4, scored("F16", 60, 20.0), scored("TQ2_0", 100, 24.7)])

    assert found == {"F16 esp32s3 pp16 tg16", Q8.job_id, Q4.job_id}


def test_only_rows_of_one_platform_and_test_are_compared() -> None:
    """A fast board or an easy test does not put other rows off the frontier."""
    rows = [row("a", 1), row("a", 9, platform="rp2350"), row("a", 9, test="pp1")]

    assert frontier(rows) == {each.job_id for each in rows}


def test_speeds_within_their_spread_are_equal() -> None:
    """A row that is faster by less than the spread of its runs beats nothing by that."""
    noisy, slower = row("a", 100, 110), row("b", 99, 107)

    assert frontier([noisy, slower]) == {noisy.job_id, slower.job_id}
    assert frontier([noisy, row("c", 50, 51)]) == {noisy.job_id}


def test_energy_counts_where_it_was_measured() -> None:
    """A slower row that takes less energy is on the frontier."""
    fast, frugal = row("a", 9, energy_per_token_mj=3.0), row("b", 5, energy_per_token_mj=1.0)

    assert frontier([fast, frugal]) == {fast.job_id, frugal.job_id}


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(1, 5), min_size=1, max_size=3),
            st.none() | st.integers(20, 23),
            st.none() | st.integers(1, 3),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_there_is_always_a_frontier(made: list[tuple[list[int], int | None, int | None]]) -> None:
    """However noisy or incomplete rows are, some row is beaten by none."""
    rows = [
        row(str(number), *map(float, speeds), perplexity=perplexity, ram_bytes=ram)
        for number, (speeds, perplexity, ram) in enumerate(made)
    ]

    assert frontier(rows)
