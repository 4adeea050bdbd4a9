"""What a page answers."""

from __future__ import annotations

#: Status line, content type, body.
Answer = tuple[str, str, bytes]


def plain(status: str, line: str) -> Answer:
    """Return an answer of one line."""
    return status, "text/plain; charset=utf-8", f"{line}\n".encode()
