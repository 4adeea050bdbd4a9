"""The lab's names for this machine and this user. Names that are not valid are respelled."""

from __future__ import annotations

import functools
import getpass
import hashlib
import logging
import os
import re
import socket
import unicodedata
from typing import Final

from edgeprof.shared.sanitize import one_line
from edgeprof.shared.types.wire import is_name

log = logging.getLogger(__name__)

_LONGEST: Final = 64


@functools.cache
def host_name() -> str:
    """Return the machine's name, spelled anew (with a warning) where it is no valid label."""
    whole = socket.gethostname()
    called = whole.split(".")[0] or whole.strip(".") or "localhost"
    if is_name(called):
        return called
    name = _made_of(called)
    log.warning(
        "this machine's name %r is not usable in metrics and file names; the lab calls it %s"
        " (EDGEPROF_HOST=NAME gives it another)",
        one_line(called),
        name,
    )
    return name


def user_name() -> str:
    """Return the user's name, or the uid where the system has no name for it."""
    try:
        name = one_line(getpass.getuser(), _LONGEST)
    except (KeyError, OSError):  # a container's user without an entry in /etc/passwd
        name = ""
    return name or f"uid-{os.getuid()}"


def _made_of(called: str) -> str:
    """Spell a name in ASCII, with four digits of a checksum where characters were lost."""
    plain = unicodedata.normalize("NFKD", called)
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    spelled = re.sub(r"[^A-Za-z0-9._-]+", "-", letters).strip("-._") or "host"
    if letters.isascii() and len(spelled) <= _LONGEST:
        return spelled
    digits = hashlib.sha256(called.encode(errors="surrogateescape")).hexdigest()[:4]
    return f"{spelled[: _LONGEST - 5]}-{digits}"
