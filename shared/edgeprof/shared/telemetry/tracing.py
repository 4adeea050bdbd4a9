"""Tracing: one trace from submit through the queue to the board's own clock.

Nothing is exported, at next to no cost, unless the standard OpenTelemetry variables name a
collector (OTEL_EXPORTER_OTLP_ENDPOINT or ..._TRACES_ENDPOINT). The trace id exists all the same: it
is in the job's record, in the doorbell and in every log line, so a job can be followed with grep.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from opentelemetry import context, propagate, trace
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode, Tracer

from edgeprof.shared.errors import Fault
from edgeprof.shared.own_version import own_version
from edgeprof.shared.store.job_values import Claim
from edgeprof.shared.telemetry import context_fields
from edgeprof.shared.telemetry.traceparent import trace_id_of
from edgeprof.shared.types.job import JobSpec

_EXPORT_TIMEOUT_S = 2.0


@cache
def exporting() -> bool:
    """Whether the environment names a collector; it is read once."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if os.environ.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return False
    return any(
        os.environ.get(name)
        for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    )


def configure(service: str, instance: str, host: str, **about_it: str) -> None:
    """Export spans by OTLP/HTTP, if the environment says where to.

    `service` is "edgeprof-client", "-scheduler" or "-worker". `instance` tells its
    processes apart (for a worker, its Celery node name, since Celery's own attribute names the
    producer). `about_it` adds attributes. HTTP only: gRPC threads do not survive a fork.
    """
    if not exporting() or not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return  # off, or the program around us traces already and gets our spans, too
    # Imported here: the SDK and its exporter take 100 ms, and clients rarely need them.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    from edgeprof.shared.telemetry.span_fields import FieldsOnSpans  # noqa: PLC0415

    resource = Resource.create(
        {
            "service.name": os.environ.get("OTEL_SERVICE_NAME", service),
            "service.instance.id": instance,
            "host.name": host,
            "service.version": own_version(),
            **about_it,
        }
    )
    # A dead collector must not delay the end of a command: the library's default is 10 s a try.
    if "OTEL_EXPORTER_OTLP_TIMEOUT" in os.environ:
        exporter = OTLPSpanExporter()
    else:
        exporter = OTLPSpanExporter(timeout=_EXPORT_TIMEOUT_S)
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(FieldsOnSpans())
    provider.add_span_processor(BatchSpanProcessor(exporter))  # flushed at exit by the provider
    trace.set_tracer_provider(provider)


def instrument_celery() -> None:
    """Give every received doorbell a span. Call it at worker_init.

    The recipe in the instrumentation's README uses worker_process_init. A pool of threads never
    sends that signal, so the recipe yields no spans.
    """
    from opentelemetry.instrumentation.celery import CeleryInstrumentor  # noqa: PLC0415

    CeleryInstrumentor().instrument()  # type: ignore[no-untyped-call]


def tracer() -> Tracer:
    """Return the project's tracer."""
    return trace.get_tracer("edgeprof", own_version())


def submit_traceparents(jobs: Sequence[tuple[str, JobSpec]]) -> list[str]:
    """Start each job's trace with its "submit" span; returns the W3C traceparents of these spans.

    A job submitted inside a span of the caller stays in the caller's trace. A job of a sweep has a
    trace of its own that links to the sweep's, or a sweep of 10 000 would be one trace. Without a
    collector the ids are random and marked as sampled, so that a worker that exports still shows
    its part.
    """
    current = trace.get_current_span().get_span_context()
    if exporting():
        return [_submit_span(job_id, spec, current) for job_id, spec in jobs]
    trace_id = f"{current.trace_id:032x}" if current.is_valid else ""
    digits = secrets.token_hex(24 * len(jobs))
    return [
        f"00-{(trace_id if spec.sweep_id is None else '') or digits[at + 16 : at + 48]}"
        f"-{digits[at : at + 16]}-01"
        for at, (_, spec) in zip(range(0, len(digits), 48), jobs, strict=True)
    ]


def _submit_span(job_id: str, spec: JobSpec, current: SpanContext) -> str:
    in_sweep = spec.sweep_id is not None
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
    with tracer().start_as_current_span(
        "submit",
        context=context.Context() if in_sweep else None,
        kind=SpanKind.PRODUCER,
        attributes=attributes,
        links=[Link(current)] if in_sweep and current.is_valid else None,
    ):
        return current_traceparent()


@contextmanager
def sweep_span(sweep_id: str) -> Iterator[Span]:
    """Open the span that the jobs of a sweep link to."""
    with tracer().start_as_current_span(
        "sweep", attributes={"edgeprof.sweep.id": sweep_id}
    ) as span:
        yield span


@contextmanager
def self_test_span() -> Iterator[AttemptSpan]:
    """Trace a self-test as a whole."""
    with tracer().start_as_current_span("self_test") as span:
        yield AttemptSpan(span)


class AttemptSpan:
    """The "profile_model" span of one attempt, or the one of a self-test."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def ended(self, outcome: str, fault: Fault | None) -> None:
        """Set the outcome; a fault makes it an error span with its class and code."""
        self._span.set_attribute("edgeprof.outcome", outcome)
        if fault is not None:
            self._span.set_status(StatusCode.ERROR, str(fault))
            self._span.set_attribute("error.type", fault.code)
            self._span.set_attribute("edgeprof.fault_class", fault.fault_class)
            self._span.record_exception(fault)


@contextmanager
def attempt_span(claim: Claim) -> Iterator[AttemptSpan]:
    """Trace an attempt: its wait in the queue, then what it does.

    A retry is in the same trace, and links to the attempt before it. A doorbell may be of another
    job than the attempt. Then the attempt stays in its own job's trace, and links to that
    doorbell's span.
    """
    spec = claim.spec
    now_ns = time.time_ns()
    submitted = propagate.extract({"traceparent": claim.traceparent})
    # Redis' clock measured the wait. The span has that length, and ends now on this host's clock.
    wait = tracer().start_span(
        "queue_wait", context=submitted, start_time=now_ns - int(claim.wait_s * 1e9)
    )
    wait.set_attribute("messaging.destination.name", spec.target.queue)
    wait.end(now_ns)
    before = trace.get_current_span(
        propagate.extract({"traceparent": claim.previous_traceparent}, context=context.Context())
    ).get_span_context()
    links = [Link(before, {"edgeprof.link": "previous attempt"})] if before.is_valid else []
    doorbell = trace.get_current_span()
    doorbell_context = doorbell.get_span_context()
    anothers = f"{doorbell_context.trace_id:032x}" != trace_id_of(claim.traceparent)
    if not anothers:
        doorbell.set_attributes(context_fields.current())  # it began before anybody knew
    if doorbell_context.is_valid and anothers:
        links.append(Link(doorbell_context, {"edgeprof.link": "doorbell"}))
    with tracer().start_as_current_span(
        "profile_model",
        context=submitted if anothers else None,
        links=links,
        attributes={
            "edgeprof.job.id": claim.job_id,
            "edgeprof.epoch": claim.epoch,
            "edgeprof.attempt": claim.attempt,
            "edgeprof.model.name": spec.model.name,
            "edgeprof.model.quantization": str(spec.model.quantization),
        },
    ) as span:
        yield AttemptSpan(span)


def current_traceparent() -> str:
    """Return the W3C traceparent of the current span, or "" outside of any."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent", "")


def current_ids() -> tuple[str, str] | None:
    """Return the current trace and span ids in hex, or None outside of any."""
    found = trace.get_current_span().get_span_context()
    return (f"{found.trace_id:032x}", f"{found.span_id:016x}") if found.is_valid else None
