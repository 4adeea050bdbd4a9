"""Numbers of ptys that are not given out again while this process runs.

A board that is pulled frees its /dev/pts/N, and the kernel gives N to the next who asks: another
test, in another process. Whoever still tries to open the old board would then have the new one.
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

_KEPT: Final[list[int]] = []


def retire(port: str) -> None:
    """Keep the far end of a pty open; call it before the near end goes."""
    with contextlib.suppress(OSError):  # the near end has gone already
        _KEPT.append(os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
