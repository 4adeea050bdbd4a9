"""What Python raises when the machine gives it no more: neither is an OSError, and neither is a bug."""

from __future__ import annotations


def exhausted(error: BaseException) -> bool:
    """Whether there was no memory, or no thread, to be had."""
    no_thread = isinstance(error, RuntimeError) and "start new thread" in str(error)
    return isinstance(error, MemoryError) or no_thread
