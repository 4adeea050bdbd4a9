"""Tracing: one trace from submit through the queue to the board's own clock.

Nothing is exported, and next to nothing is spent, unless the standard OpenTelemetry variables name a
collector (OTEL_EXPORTER_OTLP_ENDPOINT or ..._TRACES_ENDPOINT). The trace id exists all the same: it
is in the job's record, in the bell and in every log line, so a job can be followed by grep alone.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from typing import Final

from opentelemetry import context, propagate, trace
from opentelemetry.trace import SpanKind, Tracer

from edgeprof.shared.jobs import JobSpec

DISTRIBUTION: Final = "tiny-llm-edge-profiler"


@cache
def exporting() -> bool:
    """Whether the environment names a collector; asked once, a process does not change its mind."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    return any(
        os.environ.get(name)
        for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    )


def configure(service: str, instance: str) -> None:
    """Export spans by OTLP/HTTP, if the environment says where to.

    `service` is "edgeprof-client", "-scheduler" or "-worker"; `instance` tells its processes apart
    (a board's node name: Celery's own attribute holds the producer's).
    """
    if not exporting():
        return
    # Imported here: the SDK and its exporter cost a client 100 ms it mostly does not need.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    resource = Resource.create(
        {
            "service.name": os.environ.get("OTEL_SERVICE_NAME", service),
            "service.instance.id": instance,
            "service.version": version(DISTRIBUTION),
        }
    )
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def instrument_celery() -> None:
    """Give every bell heard a span. Call it at worker_init: worker_process_init never comes in a
    threads pool, and the README's recipe then yields no spans at all."""
    from opentelemetry.instrumentation.celery import CeleryInstrumentor  # noqa: PLC0415

    CeleryInstrumentor().instrument()  # type: ignore[no-untyped-call]


def tracer() -> Tracer:
    """Return the project's tracer."""
    return trace.get_tracer("edgeprof", version(DISTRIBUTION))


def submit_traceparent(job_id: str, spec: JobSpec) -> str:
    """Start a job's trace with its "submit" span; returns the W3C traceparent of that span.

    A sweep inside a span of the caller's own stays in the caller's trace. Without a collector the
    ids are made up and marked as sampled, so that a worker that does export still shows its part.
    """
    if not exporting():
        current = trace.get_current_span().get_span_context()
        trace_id = f"{current.trace_id:032x}" if current.is_valid else secrets.token_hex(16)
        return f"00-{trace_id}-{secrets.token_hex(8)}-01"
    attributes: dict[str, str | int] = {
        "messaging.system": "celery",
        "messaging.operation.type": "send",
        "messaging.destination.name": spec.target.queue,
        "messaging.message.id": job_id,
        "edgeprof.job.id": job_id,
        "edgeprof.job.priority": spec.priority,
        "edgeprof.model.name": spec.model.name,
        "edgeprof.model.quantization": str(spec.model.quantization),
        "edgeprof.sweep.id": spec.sweep_id or "",
    }
    with tracer().start_as_current_span("submit", kind=SpanKind.PRODUCER, attributes=attributes):
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
    return carrier.get("traceparent", "")


@contextmanager
def resumed(traceparent: str) -> Iterator[None]:
    """Continue a trace from its traceparent."""
    token = context.attach(propagate.extract({"traceparent": traceparent}))
    try:
        yield
    finally:
        context.detach(token)


def current_trace_id() -> str | None:
    """Return the id of the current trace, 32 hex digits, or None outside of any."""
    found = trace.get_current_span().get_span_context()
    return f"{found.trace_id:032x}" if found.is_valid else None
