"""The command line: `edgeprof`. One module a command; this one only decides how it starts and ends.

Nothing is imported here but what every Python has loaded already: Ctrl-C is to be heard before that, and the rest
takes most of a second.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False  # as typing's, whose import takes longer than all that is here
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_INTERRUPTED = 130
_INFRASTRUCTURE = 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit. The only place where an error becomes text and an exit code."""
    heard = signal.getsignal(signal.SIGINT)
    if heard is signal.default_int_handler:  # else somebody wants it otherwise: nohup, say
        signal.signal(signal.SIGINT, quit_at_once)
    try:
        from edgeprof.cli import run  # noqa: PLC0415 - see above
    except MemoryError:
        os.write(2, b"error: this machine has not enough memory to start edgeprof\n")
        os._exit(_INFRASTRUCTURE)

    try:
        # Within the block: a Ctrl-C is raised between any two steps once Python hears it again.
        signal.signal(signal.SIGINT, heard)
        code = run.run(arguments)
        if heard is signal.default_int_handler:
            signal.signal(signal.SIGINT, quit_at_once)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    sys.exit(code)


def quit_at_once(*_: Any) -> None:
    """End at once: while modules are imported, or thrown away, there is nothing to tidy up or to tell."""
    os._exit(_INTERRUPTED)
