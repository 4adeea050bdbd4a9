"""n_gen 0 (`-n 0`): a prefill is measured, and nothing of decoding is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from edgeprof.cli.render import llama_bench_table
from edgeprof.shared.errors import ModelError
from edgeprof.shared.types.case import TestCase
from edgeprof.workers.metrics.models import ModelMetrics
from edgeprof.workers.testing.fake_meter import FakeMeter
from tests.records.conftest import PROMPT

CASE = TestCase(prompt_tokens=PROMPT, n_gen=0)


def test_decoding_is_absent_not_zero(session: Callable[..., Any]) -> None:
    """Speed, latency, tokens and text of decoding, and energy for each of no tokens."""
    result, _ = session(CASE, meter=FakeMeter(), repetitions=2)

    (case,) = result.cases
    assert (case.n_prompt, case.n_gen, case.tokens, case.text) == (4, 0, (), None)
    assert case.decode_tokens_per_second is None
    assert case.inter_token_p50_s is case.inter_token_p95_s is case.inter_token_p99_s is None
    assert (case.position_latency_s, case.ended_at_token) == ((), None)
    assert result.energy_per_token_mj is result.energy_meter is None


def test_prefill_is_whole(session: Callable[..., Any]) -> None:
    """A prefill ends when the first token's id is known: so TTFT is measured, and that token is
    checked."""
    result, seen = session(CASE, repetitions=2)

    (case,) = result.cases
    assert len(case.prefill_tokens_per_second.samples) == len(case.ttft_s.samples) == 2
    assert (case.output_check.matched, case.output_check.of) == (1, 1)
    percents = [fields["percent"] for fields in seen]
    assert percents == sorted(percents)
    assert percents[-1] == 100.0


def test_a_wrong_prefill_is_found(session: Callable[..., Any]) -> None:
    """Nothing generated is no excuse for a wrong answer (invariant 5)."""
    with pytest.raises(ModelError) as caught:
        session(CASE, "fault=7:0")

    assert caught.value.code == "wrong_output"


def test_it_is_one_row(session: Callable[..., Any], make_view: Callable[..., Any]) -> None:
    """ppN, as llama-bench's prompt tests; table, Markdown and CSV hold no speed of decoding."""
    result, _ = session(CASE, repetitions=2)
    (row,) = llama_bench_table.rows_of([make_view(result=result)])

    assert (row.test, row.n_prompt, row.n_gen) == ("pp4", 4, 0)
    assert row.inter_token_p95_s is None
    assert "tg" not in llama_bench_table.markdown([row]).replace("tags", "")


def test_metrics_have_no_sample_of_decoding(session: Callable[..., Any]) -> None:
    """A gauge that was never measured has no sample."""
    result, _ = session(CASE, repetitions=1)
    registry = CollectorRegistry()

    ModelMetrics(registry).measured("native", result.model, result.cases[0], None, "")

    text = generate_latest(registry).decode()
    assert "model_prefill_tokens_per_second{" in text
    assert "model_tokens_per_second{" not in text
    assert "model_latency_p95_ms{" not in text
    assert "model_last_time_to_first_token_seconds{" in text
