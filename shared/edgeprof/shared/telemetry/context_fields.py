"""Fields (a job's id, a board's name) bound once for every span and log line of a thread.

They are in OpenTelemetry's context, beside the current span, so that a thread which is given the
context (`contextvars.copy_context`) has both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, cast

from opentelemetry import context, propagate

_FIELDS: Final = context.create_key("edgeprof.context_fields")


@contextmanager
def bound_fields(**fields: str | int) -> Iterator[None]:
    """Put fields on spans and log lines inside the `with`, beside those bound already."""
    token = context.attach(context.set_value(_FIELDS, {**current(), **fields}))
    try:
        yield
    finally:
        context.detach(token)


@contextmanager
def bound_job(job_id: str, traceparent: str) -> Iterator[None]:
    """Bind a job's id, and enter its trace, for log lines of a process that does not run it."""
    with bound_fields(job_id=job_id):
        token = context.attach(
            propagate.extract({"traceparent": traceparent}, context.get_current())
        )
        try:
            yield
        finally:
            context.detach(token)


def current() -> Mapping[str, str | int]:
    """Return the fields that are bound here."""
    return cast("Mapping[str, str | int]", context.get_value(_FIELDS) or {})
