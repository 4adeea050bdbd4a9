"""Which windows of tokens are scored of a test case."""

from __future__ import annotations

from edgeprof.shared.types.case import TestCase


def windows_of(case: TestCase) -> tuple[tuple[int, ...], ...]:
    """Return what is scored of a case: its text's windows, or its prompt, as in schema 1."""
    if case.scoring is not None:
        return case.scoring.windows
    return (case.prompt_tokens,) if len(case.prompt_tokens) > 1 else ()


def unquantized_top1_of(case: TestCase) -> tuple[tuple[int, ...], ...] | None:
    """Return the unquantized model's likeliest tokens for each window; None where not known."""
    if case.scoring is not None:
        return case.scoring.unquantized_top1
    return None if case.unquantized_top1 is None else (case.unquantized_top1,)
