"""One trace from submit to the board worker, and through a doorbell that was sent again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from edgeprof.shared.types.job import JobSpec
from tests.support.null_lab import Rig

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("notify", [True, False], ids=["sent", "sent again"])
def test_traceparent_travels(
    rig: Rig,
    make_spec: Callable[..., JobSpec],
    open_collector: Callable[[], AbstractContextManager[Any]],
    monkeypatch: pytest.MonkeyPatch,
    notify: bool,
) -> None:
    """The worker's spans are children of the submitter's, whoever sent the doorbell."""
    with open_collector() as collector:
        if not notify:
            rig.start_scheduler()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        worker = rig.start_worker("01")
        monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")

        rig.submit(make_spec(), notify=notify).wait(timeout=60)
        worker.terminate()
        worker.wait()

    by_name = {span.name: (span, resource) for span, resource in collector.spans}
    run, resource = by_name["run/edgeprof.profile"]
    profile, _ = by_name["profile_model"]
    assert run.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert run.parent_span_id.hex() == "b7ad6b7169203331"
    assert profile.parent_span_id == run.span_id
    assert resource["service.instance.id"].endswith("testhost")
