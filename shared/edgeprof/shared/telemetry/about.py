"""What is being worked on: said once, and then on every span and log line of this thread.

Kept in OpenTelemetry's context, beside the current span, so that a thread which is handed the one has the
other too (`contextvars.copy_context`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, cast

from opentelemetry import context, propagate

_ABOUT: Final = context.create_key("edgeprof.about")


@contextmanager
def about(**fields: str | int) -> Iterator[None]:
    """Name what spans and log lines from here on are about, beside what is named already."""
    token = context.attach(context.set_value(_ABOUT, {**current(), **fields}))
    try:
        yield
    finally:
        context.detach(token)


@contextmanager
def about_job(job_id: str, traceparent: str) -> Iterator[None]:
    """Be in a job's trace, and name the job: for what is said of it by somebody who does not run it."""
    with about(job_id=job_id):
        token = context.attach(
            propagate.extract({"traceparent": traceparent}, context.get_current())
        )
        try:
            yield
        finally:
            context.detach(token)


def current() -> Mapping[str, str | int]:
    """Return what was named."""
    return cast("Mapping[str, str | int]", context.get_value(_ABOUT) or {})
