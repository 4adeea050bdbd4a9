"""The verdict on a row: by the interval of its change, never by two means alone."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from edgeprof.client import student
from edgeprof.client.comparison import Row, Verdict, compare
from edgeprof.client.estimate import Estimate, change, repetitions_needed
from edgeprof.shared.types.result import JobView, ScoreResult
from tests.support.measured import STEADY, measured, times
from tests.support.reports import scoring_job


def decode(old: Sequence[JobView], new: Sequence[JobView], margin: float = 0.01) -> Row:
    """The one row of decode."""
    (row,) = compare(old, new, measures=["decode"], margin=margin).rows
    return row


# --- the distribution


@pytest.mark.parametrize(
    ("df", "t"), [(1, 12.706), (2, 4.303), (4, 2.776), (10, 2.228), (30, 2.042), (1000, 1.962)]
)
def test_half_width_is_that_of_students_table(df: float, t: float) -> None:
    """The 97.5 % point, as every textbook prints it."""
    assert student.half_width(df) == pytest.approx(t, abs=5e-4)


def test_p_values_are_those_of_the_tables() -> None:
    """t = 2.776 with 4, and F = 4.96 with 1 and 10 degrees of freedom, are at 5 %."""
    assert student.p_value(2.7764, 4) == pytest.approx(0.05, abs=1e-5)
    assert student.f_p_value(4.9646, 1, 10) == pytest.approx(0.05, abs=1e-5)


def test_interval_holds_the_true_change_as_often_as_it_says() -> None:
    """Of 200 pairs of five runs each, 95 % of the intervals have the true 5 % inside."""
    scatter = random.Random(1)
    inside = 0
    for _ in range(200):
        old, new = (
            Estimate.of([[scatter.gauss(mean, sd) for _ in range(5)]])
            for mean, sd in ((100, 1), (105, 3))
        )
        found = change([(old, new)])
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= 0.05 <= found.high
    assert 0.925 <= inside / 200 <= 0.975


# --- verdicts


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [
        (1.05, Verdict.BETTER),
        (0.95, Verdict.WORSE),
        (1.0, Verdict.UNKNOWN),
        (1.008, Verdict.UNKNOWN),
    ],
)
def test_verdict_is_of_the_interval(factor: float, verdict: Verdict) -> None:
    """Five runs that scatter by 0.8 % show 5 %, and neither 0.8 % nor that nothing changed."""
    row = decode([measured("a", STEADY)], [measured("b", times(factor))])

    assert row.verdict is verdict
    assert row.ratio == pytest.approx(factor, rel=1e-3)


def test_same_needs_an_interval_within_the_margin() -> None:
    """More runs, or a wider margin, show that nothing changed."""
    assert decode([measured("a", 8 * STEADY)], [measured("b", 8 * STEADY)]).verdict is Verdict.SAME
    few = [measured("a", STEADY)], [measured("b", STEADY)]
    assert decode(*few, margin=0.02).verdict is Verdict.SAME


def test_less_is_better_for_times() -> None:
    """The interval of TTFT is read the other way round."""
    slow, fast = measured("a", STEADY), measured("b", STEADY)
    assert slow.result is not None
    case = slow.result.cases[0]
    later = case.ttft_s.model_copy(update={"samples": tuple(2 * s for s in case.ttft_s.samples)})
    result = slow.result.model_copy(update={"cases": (case.model_copy(update={"ttft_s": later}),)})
    slow = slow.model_copy(update={"result": result})

    (row,) = compare([slow], [fast], measures=["ttft"]).rows
    assert row.verdict is Verdict.BETTER


def test_the_repetitions_that_would_tell_do_tell() -> None:
    """The number that is proposed is the least that makes the interval narrow enough."""
    row = decode([measured("a", STEADY)], [measured("b", times(1.007))])
    assert row.verdict is Verdict.UNKNOWN
    assert row.needed is not None

    estimates = Estimate.of([STEADY]), Estimate.of([times(1.007)])
    for n, enough in ((row.needed, True), (row.needed - 1, False)):
        longer = tuple(Estimate(e.mean, (e.variance or 0) * e.n / n, n - 1, n) for e in estimates)
        found = change([(longer[0], longer[1])])
        assert found.certain == enough


def test_a_single_run_tells_nothing() -> None:
    """There is no spread, so there is no interval, and no number of repetitions either."""
    row = decode([measured("a", [100.0])], [measured("b", [200.0])])

    assert (row.verdict, row.why) == (Verdict.UNKNOWN, "a single run has no spread")
    assert (row.change.low, row.needed) == (None, None)


def test_no_number_of_repetitions_is_proposed_that_no_job_can_have() -> None:
    """Runs that differ by a half tell nothing of a percent, however many there are."""
    wild = Estimate.of([[50.0, 150.0, 80.0, 120.0]])
    assert repetitions_needed([(wild, wild)], 0.005) is None


# --- exact clocks


def test_a_clock_of_instructions_is_exact() -> None:
    """One repetition is enough, and a tenth of a percent is a change; a timer's tick is not."""
    old = measured("a", [100.0], platform="stm32f405", timer="TIM2")
    for speed, verdict in (
        (100.1, Verdict.BETTER),
        (99.9, Verdict.WORSE),
        (100.001, Verdict.SAME),
    ):
        new = measured("b", [speed], platform="stm32f405", timer="TIM2")
        row = decode([old], [new])
        assert (row.exact, row.verdict) == (True, verdict)


def test_a_native_board_has_the_hosts_clock() -> None:
    """It is emulated, and yet measured."""
    pair = [
        measured(job, [100.0], platform="native", timer="CLOCK_MONOTONIC") for job in ("a", "b")
    ]
    assert not decode(pair[:1], pair[1:]).exact


def test_an_exact_clock_that_scatters_is_not_believed() -> None:
    """Repetitions that differ are treated as measurements, whatever the board says it is."""
    pair = [measured(job, STEADY, platform="stm32f405", timer="TIM2") for job in ("a", "b")]
    assert not decode(pair[:1], pair[1:]).exact


# --- boards and jobs


def test_boards_are_compared_with_themselves() -> None:
    """Of two boards, one twice as fast, each became 5 % faster: that is seen through their
    difference."""
    old = [measured("a", STEADY, board="x"), measured("b", times(2), board="y")]
    new = [measured("c", times(1.05), board="x"), measured("d", times(2.1), board="y")]

    row = decode(old, new)

    assert row.verdict is Verdict.BETTER
    assert row.old.board_spread == pytest.approx(0.471, abs=1e-3)
    assert row.old.run_spread == pytest.approx(0.008, abs=1e-3)


def test_a_board_of_one_side_only_is_left_out() -> None:
    """A fast board that was added makes no kernel faster."""
    old = [measured("a", STEADY, board="x")]
    new = [measured("b", times(1.05), board="x"), measured("c", times(9), board="y")]

    row = decode(old, new)

    assert row.new.boards == ("x",)
    assert row.ratio == pytest.approx(1.05)


def test_other_boards_tell_nothing_of_the_change() -> None:
    """Two single boards may differ by themselves; several on each side are a sample of boards."""
    row = decode([measured("a", STEADY, board="x")], [measured("b", times(2), board="y")])
    assert (row.verdict, row.why) == (Verdict.UNKNOWN, "no board is on both sides")

    old = [measured(f"o{n}", times(1 + n / 100), board=f"old{n}") for n in range(4)]
    new = [measured(f"n{n}", times(1.5 + n / 100), board=f"new{n}") for n in range(4)]
    assert decode(old, new).verdict is Verdict.BETTER


def test_jobs_that_differ_more_than_their_runs_count_as_one_value_each() -> None:
    """Thirty runs of three jobs at three temperatures are three measurements, not thirty."""
    old = [measured(f"a{n}", times(1 + n / 20, 2 * STEADY)) for n in range(3)]
    new = [measured(f"b{n}", times(1.02 + n / 20, 2 * STEADY)) for n in range(3)]

    row = decode(old, new)

    assert row.verdict is Verdict.UNKNOWN
    assert row.why == "jobs of one board differ more than their runs do"


def test_jobs_that_do_not_differ_are_pooled() -> None:
    """Several short jobs are as good as a long one."""
    old = [measured(f"a{n}", STEADY) for n in range(4)]
    new = [measured(f"b{n}", times(1.008)) for n in range(4)]
    assert decode(old, new).verdict is Verdict.BETTER


# --- rows


def test_rows_of_one_side_are_listed() -> None:
    """What has no counterpart is not compared with something else."""
    here, there = measured("a", STEADY), measured("b", STEADY, platform="native")

    found = compare([here], [there])

    assert not found.rows
    assert [key.platform for key in found.only_old] == ["esp32s3"]
    assert [key.platform for key in found.only_new] == ["native"]


def test_perplexities_of_two_texts_are_not_compared() -> None:
    """The same model over another text has another perplexity."""

    def scored(job: str, text: str) -> JobView:
        view = measured(job, STEADY)
        assert view.result is not None
        score = ScoreResult(n_tokens=9, nll_nats=1.0, perplexity=2.7, text_sha256=text)
        case = view.result.cases[0].model_copy(update={"score": score})
        return view.model_copy(update={"result": view.result.model_copy(update={"cases": (case,)})})

    rows = compare([scored("a", "1")], [scored("b", "2")], measures=["perplexity"]).rows
    assert rows == ()
    (row,) = compare([scored("a", "1")], [scored("b", "1")], measures=["perplexity"]).rows
    assert (row.exact, row.verdict) == (True, Verdict.SAME)


def test_speed_of_a_job_that_measures_quality_is_none() -> None:
    """It reads one token, as a sweep makes it, and nobody asked how fast."""
    rows = compare([scoring_job("old")], [scoring_job("new")]).rows
    assert {row.measure.name for row in rows} == {"perplexity", "ram"}
