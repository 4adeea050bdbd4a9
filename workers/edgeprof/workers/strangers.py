"""What programs that are not ours may know: flash tools, resets, meters, emulators."""

from __future__ import annotations

import os


def environment() -> dict[str, str]:
    """Return our environment without our settings: the login of Redis is among them."""
    return {name: value for name, value in os.environ.items() if not name.startswith("EDGEPROF_")}
