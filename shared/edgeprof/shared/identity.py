"""What this user is called in the lab, whatever the system calls them."""

from __future__ import annotations

import getpass
import os
from typing import Final

from edgeprof.shared.plain import one_line

_LONGEST: Final = 64


def user_name() -> str:
    """Return who runs this; a user whom the system has no name for goes by number."""
    try:
        name = one_line(getpass.getuser(), _LONGEST)
    except (KeyError, OSError):  # a container's user without an entry in /etc/passwd
        name = ""
    return name or f"uid-{os.getuid()}"
