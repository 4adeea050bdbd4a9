"""Puts the bound fields (context_fields.py) on each span that begins.

It is a module of its own because it loads OpenTelemetry's SDK, which takes time.
"""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor

from edgeprof.shared.telemetry import context_fields


class FieldsOnSpans(SpanProcessor):
    """Sets the bound fields as attributes; it is added to the tracer provider that exports."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the library's
        """Set the fields bound where the span begins, which need not be where its parent is."""
        span.set_attributes(context_fields.current())
