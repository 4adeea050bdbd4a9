"""A whole session on the real firmware: what a job's result holds, and when there is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.shared.errors import BoardFault, ModelError
from edgeprof.workers.board.protocols import Cancelled, RunReport
from edgeprof.workers.profiling.measure import check_output, summarize
from tests.profiling.session_types import Session


def test_result_holds_what_was_measured(session: Session) -> None:
    """Samples for each repetition, checked output, memory, identity; nothing invented."""
    result, _ = session(repetitions=4, score=True, n_gen=16)

    case = result.cases[0]
    assert len(case.prefill_tokens_per_second.samples) == 4
    decode = case.decode_tokens_per_second
    assert decode is not None
    assert len(decode.samples) == 4
    assert len(case.position_latency_s) == 15
    check = case.output_check
    assert check is not None
    assert (check.matched, check.of) == (16, 16)
    assert case.score is not None
    assert case.score.top1_agreement == 1.0
    assert case.score.perplexity > 1
    assert case.text
    assert result.identity.emulated
    assert result.temperature_celsius is None
    assert result.energy_per_token_mj is None
    assert {use.category for use in result.memory} == {"weights", "kv", "activations"}


def test_temperature_is_labelled_emulated(session: Session) -> None:
    """A settable sensor is read, and said to be no real one."""
    result, _ = session("temperature=61500")

    assert result.temperature_celsius == {"soc": 61.5}
    assert result.temperature_emulated


def test_progress_never_goes_back(session: Session) -> None:
    """Percent rises from 0 to 100 over load, warm-up and repetitions."""
    _, seen = session(n_gen=4)

    percents = [fields["percent"] for fields in seen]
    assert percents == sorted(percents)
    assert percents[-1] == 100.0
    assert {fields["phase"] for fields in seen} == {"load", "warmup", "prefill", "decode"}


def test_wrong_answer_is_a_failure(session: Session) -> None:
    """A board whose tokens differ is reported with the first differing position (invariant 5)."""
    with pytest.raises(ModelError, match="generated token 3 is") as caught:
        session("fault=7:3")
    assert caught.value.code == "wrong_output"


def test_stop_ends_the_session(session: Session) -> None:
    """A stop asked for is honoured, whatever the phase."""
    with pytest.raises(Cancelled):
        session(should_stop=lambda: True)


def report(
    prefill_us: int, steps: tuple[int, ...], tokens: tuple[int, ...] = (1, 2, 3)
) -> RunReport:
    return RunReport(
        tokens=tokens, prefill_us=prefill_us, step_us=steps, idle_us=0, start_us=0,
        end_us=prefill_us + sum(steps) + 1, host_sent_s=0.0, host_first_token_s=None,
        host_done_s=1.0,
    )  # fmt: skip


def test_speeds_follow_llama_bench() -> None:
    """Decode leaves the first token out; the mean is of the repetitions' speeds; sd is the
    sample's."""
    runs = [report(2_000_000, (500_000, 500_000)), report(1_000_000, (250_000, 250_000))]

    case = summarize(runs, 4, n_gen=3, text=None, output_check=None, score=None)

    assert case.prefill_tokens_per_second.samples == (2.0, 4.0)
    decode = case.decode_tokens_per_second
    assert decode is not None
    assert decode.samples == (2.0, 4.0)
    assert decode.mean == 3.0
    assert decode.sd == pytest.approx(2**0.5)
    assert case.ttft_s.samples == (2.0, 1.0)
    assert case.position_latency_s == (0.375, 0.375)
    assert case.ttft_host_s is None


def test_stuck_timer_is_a_fault_not_infinity() -> None:
    """A time of zero is refused."""
    with pytest.raises(BoardFault) as caught:
        summarize([report(10, (5, 0))], 4, n_gen=3, text=None, output_check=None, score=None)
    assert caught.value.code == "timer_stuck"


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.data())
def test_output_check_finds_the_first_difference(expected: list[int], data: st.DataObject) -> None:
    """`matched` counts the equal tokens before the first that differs."""
    got = list(expected)
    at = data.draw(st.integers(0, len(expected) - 1))
    got[at] += 1

    check = check_output(got, expected)

    assert (check.matched, check.first_difference) == (at, at)
    assert check_output(expected, expected).first_difference is None
