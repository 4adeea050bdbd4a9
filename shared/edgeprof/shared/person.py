"""Who uses this process, for the record of who did what."""

from __future__ import annotations

import getpass
import os


def user_name() -> str:
    """Return the user's name; of a uid that has none (a container's, often), the number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # of Python up to 3.12, from 3.13
        return f"uid-{os.getuid()}"
