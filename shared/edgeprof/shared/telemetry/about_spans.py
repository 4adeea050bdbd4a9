"""Puts what is being worked on (about.py) on each span that begins. Apart, because it loads the SDK."""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor

from edgeprof.shared.telemetry import about


class AboutSpans(SpanProcessor):
    """Added to the provider that exports."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the library's
        """Take it from where the span begins, which need not be where its parent is."""
        span.set_attributes(about.current())
