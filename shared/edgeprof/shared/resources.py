"""Recognises Python's errors for missing memory or threads, which are neither OSErrors nor bugs."""

from __future__ import annotations


def exhausted(error: BaseException) -> bool:
    """Whether the machine had no more memory, or no more threads."""
    no_thread = isinstance(error, RuntimeError) and "start new thread" in str(error)
    return isinstance(error, MemoryError) or no_thread
