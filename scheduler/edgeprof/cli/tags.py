"""The option --tag NAME=VALUE."""

from __future__ import annotations

from edgeprof.shared.errors import UsageError


def parse_tag(text: str) -> tuple[str, str]:
    """Return name and value. Raises UsageError."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--tag {text!r} is no tag", hint="e.g. --tag shelf=2")
    return name, value
