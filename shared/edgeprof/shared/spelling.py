"""Suggests the known word that a misspelt one was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ", did you mean 'baud'?" for a word that is nearly a known one; "" else."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f", did you mean {near[0]!r}?" if near else ""
