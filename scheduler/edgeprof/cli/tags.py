"""The option --tag NAME=VALUE: of a board, or in `results` of a job."""

from __future__ import annotations

from collections.abc import Sequence

from edgeprof.shared.errors import UsageError
from edgeprof.shared.types.tags import split_tag


def parse_tag(text: str) -> tuple[str, str]:
    """Return name and value. Raises UsageError."""
    try:
        return split_tag(text)
    except ValueError:
        raise UsageError(f"--tag {text!r} is no tag", hint="e.g. --tag shelf=2") from None


def parse_tags(texts: Sequence[str] | None) -> dict[str, str]:
    """Return several tags. Raises UsageError, also for two values of one name."""
    tags: dict[str, str] = {}
    for name, value in map(parse_tag, texts or ()):
        if tags.setdefault(name, value) != value:
            raise UsageError(
                f"--tag {name} is {tags[name]!r} and {value!r}",
                hint="a board has one value for each name of a tag",
            )
    return tags
