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
        signal.signal(signal.SIGINT, _quit)
    try:
        from edgeprof.cli import run  # noqa: PLC0415 - see above
    except MemoryError:
        os.write(2, b"error: this machine has not enough memory to start edgeprof\n")
        os._exit(_INFRASTRUCTURE)

    signal.signal(signal.SIGINT, heard)
    try:
        code = run.run(arguments)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    if heard is signal.default_int_handler:
        signal.signal(signal.SIGINT, _quit)
    sys.exit(code)


def _quit(*_: Any) -> None:
    """End at once: while modules are imported, or thrown away, there is nothing to tidy up or to tell."""
    os._exit(_INTERRUPTED)
