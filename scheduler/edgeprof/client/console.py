"""The console for all output: text that it prints cannot control the terminal.

Reasons, tags, texts and names may come from boards, models and other users. So strings are never
read as markup (styled text is a `Text`), and control characters are removed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from edgeprof.shared.sanitize import harmless


class PlainConsole(Console):
    """A rich Console for untrusted text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render, and remove the control characters that did not come from rich itself."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield segment._replace(text=harmless(segment.text))
