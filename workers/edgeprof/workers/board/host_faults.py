"""Turns what this machine refuses (files, memory, threads) into one fault class."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgeprof.shared.errors import HostFault
from edgeprof.shared.resources import exhausted


@contextmanager
def host_faults() -> Iterator[None]:
    """Turn a refusal of the operating system into HostFault; other errors pass."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise HostFault(
            f"{error.strerror or type(error).__name__}{where}",
            code="os_error",
            hint="is a disk full, or a folder gone? The self-test of this host looks too",
        ) from error
    except (MemoryError, RuntimeError) as error:
        if not exhausted(error):
            raise
        what = "memory" if isinstance(error, MemoryError) else "threads"
        raise HostFault(
            f"this machine has no more {what} for the board worker",
            code="exhausted",
            hint="what uses them up? The worker's own limits: ulimit -a; MemoryMax= and TasksMax="
            " of its unit",
        ) from error
