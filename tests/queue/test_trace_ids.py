"""Every job has a trace id, with or without a collector."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgeprof.shared.telemetry import tracing
from edgeprof.shared.telemetry.traceparent import trace_id_of
from edgeprof.shared.types.job import JobSpec


@pytest.mark.parametrize(
    "traceparent",
    ["", "a-b-c-d", f"00-{'x' * 200}-{'0' * 16}-01", f"00-{'A' * 32}-{'0' * 16}-01", "0-0-0-0-0"],
)
def test_only_a_trace_id_is_one(traceparent: str) -> None:
    """A trace id that becomes an exemplar has a trace id's form: prometheus_client takes 128
    characters at most."""
    assert trace_id_of(traceparent) == ""
    assert trace_id_of(f"00-{'a' * 32}-{'0' * 16}-01") == "a" * 32


def test_trace_exists_without_a_collector(make_spec: Callable[..., JobSpec]) -> None:
    """Each job has a trace id of its own, at no cost, for logs and for workers that do export."""
    first, second = tracing.submit_traceparents([("a", make_spec()), ("b", make_spec())])

    assert first != second
    assert [len(part) for part in first.split("-")] == [2, 32, 16, 2]
