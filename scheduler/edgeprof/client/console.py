"""Where everything is printed: nothing that is printed can be a command.

Reasons, tags, texts and names may come from boards, models and other users. So plain strings are no markup
(what we style is `Text`), and control characters never reach the terminal, wherever they were hidden.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from edgeprof.shared.sanitize import harmless


class PlainConsole(Console):
    """A rich Console for text that is not trusted."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render as ever, and take out what only rich itself may write."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield segment._replace(text=harmless(segment.text))
