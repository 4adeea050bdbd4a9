"""One trace from submit to the board worker, and through a bell that was rung again."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

pytestmark = pytest.mark.e2e


@pytest.fixture
def collector() -> Iterator[tuple[str, list[Any]]]:
    """An OTLP/HTTP collector that keeps (span, service.instance.id)."""
    spans: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                named = {a.key: a.value.string_value for a in resource.resource.attributes}
                for scope in resource.scope_spans:
                    spans.extend((span, named["service.instance.id"]) for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", spans
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("ring", [True, False], ids=["rung", "rung again"])
def test_traceparent_travels(
    rig: Any,
    make_spec: Any,
    collector: tuple[str, list[Any]],
    monkeypatch: pytest.MonkeyPatch,
    ring: bool,
) -> None:
    """The worker's spans are children of the submitter's, whoever rang the bell."""
    endpoint, spans = collector
    if not ring:
        rig.start_scheduler()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    worker = rig.start_worker("01")
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")

    rig.submit(make_spec(), ring=ring).wait(timeout=20)
    worker.terminate()
    worker.wait()

    by_name = {span.name: (span, instance) for span, instance in spans}
    run, instance = by_name["run/edgeprof.profile"]
    profile, _ = by_name["profile_model"]
    assert run.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert run.parent_span_id.hex() == "b7ad6b7169203331"
    assert profile.parent_span_id == run.span_id
    assert instance.endswith("testhost")
