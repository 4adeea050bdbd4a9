"""Turns whatever a port's handler raised into one of our faults, with a message for people."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import termios
from collections.abc import Iterator
from urllib.parse import urlsplit

from edgeprof.shared.errors import EdgeprofError, HostFault, LinkFault
from edgeprof.shared.sanitize import one_line
from edgeprof.workers.board.protocols import Cancelled
from edgeprof.workers.link.port_holders import holders

#: Schemes with another machine at the other end.
NETWORK = frozenset({"socket", "rfc2217"})


@contextlib.contextmanager
def link_fault(url: str, doing: str) -> Iterator[None]:
    """Turn whatever a handler raises into a fault of the link."""
    try:
        yield
    except (EdgeprofError, Cancelled):
        raise
    except Exception as error:
        raise LinkFault(
            f"{url}: cannot {doing}: {words(error)}",
            code="port_gone",
            hint="was it unplugged, or its connection cut? it is opened again by itself",
        ) from error


def words(error: Exception) -> str:
    """Return an exception's text in one line, or its type when its text is not meant for people."""
    text = one_line(str(error), 300)
    if isinstance(error, (OSError, termios.error, ValueError)) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def open_fault(url: str, error: Exception) -> HostFault:
    number = _errno(error)
    text = words(error)
    if number == errno.EACCES:
        return HostFault(
            f"{url}: no permission to open the port",
            code="port_denied",
            hint="join the group that owns it, and log in again:"
            f" sudo usermod -aG {_group_of(device_of(url))} $USER",
        )
    if number in {errno.EBUSY, errno.EWOULDBLOCK} or "exclusively lock" in text:
        named = ", ".join(others_on(url))
        return HostFault(
            f"{url}: the port is busy{f': {named} has it open' if named else ''}",
            code="port_busy",
            hint="end the other program (a serial monitor?)" + ("" if named else ": lsof names it"),
        )
    if number in {errno.ENOENT, errno.ENODEV, errno.ENXIO} or "no ports found" in text:
        return HostFault(
            f"{url}: no such port", code="port_absent", hint="is the board plugged in and powered?"
        )
    network = urlsplit(url).scheme in NETWORK
    hint = "does its server run, and is it reached from here?" if network else None
    return HostFault(f"{url}: cannot open: {text}", code="port_failed", hint=hint)


def _errno(error: BaseException) -> int | None:
    """Return the number of a system error, which termios.error and pyserial keep elsewhere."""
    number = getattr(error, "errno", None)
    if number is None and error.args and isinstance(error.args[0], int):
        number = error.args[0]
    return number


def _group_of(path: str) -> str:
    """Return the group that may open a device; dialout, as on Debian, where it cannot be seen."""
    with contextlib.suppress(OSError, KeyError):
        return grp.getgrgid(os.stat(path).st_gid).gr_name  # noqa: PTH116 - a URL's path as it is
    return "dialout"


def others_on(url: str) -> list[str]:
    """Name the other programs that have the port open, as far as we may see them."""
    return holders(device_of(url))


def device_of(url: str) -> str:
    """Return the path of the device behind a URL, as far as the URL shows it."""
    parts = urlsplit(url)
    return parts.netloc + parts.path if parts.scheme in {"alt", "spy"} else url
