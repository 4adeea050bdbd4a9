"""The command line: `edgeprof`. One module a command; this one only decides how it starts and ends.

It imports only what every Python has loaded already. The other imports take most of a second, and
Ctrl-C must be handled before they begin.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, whose import would take longer than this module
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_INTERRUPTED = 130
_INFRASTRUCTURE = 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit. The only place where an error becomes text and an exit code."""
    heard = signal.getsignal(signal.SIGINT)
    if heard is signal.default_int_handler:  # else the caller ignores it, as nohup does
        signal.signal(signal.SIGINT, quit_at_once)
    try:
        from edgeprof.cli import run  # noqa: PLC0415 - see above
    except MemoryError:
        os.write(2, b"error: this machine has not enough memory to start edgeprof\n")
        os._exit(_INFRASTRUCTURE)

    try:
        # Within the block, because Python may raise KeyboardInterrupt from here on.
        signal.signal(signal.SIGINT, heard)
        code = run.run(arguments)
        if heard is signal.default_int_handler:
            signal.signal(signal.SIGINT, quit_at_once)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    sys.exit(code)


def quit_at_once(*_: Any) -> None:
    """End at once: during imports and at exit there is nothing to clean up or to report."""
    os._exit(_INTERRUPTED)
