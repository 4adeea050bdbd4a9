"""Refuses a board's URL that can never work, before anything is started or opened.

What may still come is no mistake, and is waited for: a device that is not plugged in, a server that
does not run, firmware that is not built. Our own handlers check their part (ChildSerial.check);
this module knows pyserial's.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

import serial

from edgeprof.shared.errors import UsageError
from edgeprof.shared.spelling import suggestion
from edgeprof.workers import emulated

_LOGGING = {"logging": "debug|info|warning|error"}
#: The query keys of pyserial's handlers, with a pattern of their values.
_QUERY: Mapping[str, Mapping[str, str]] = {
    "socket": _LOGGING,
    "loop": _LOGGING,
    "rfc2217": _LOGGING | {"ign_set_control": "", "poll_modem": "", "timeout": r"\d+(\.\d+)?"},
    "spy": {"file": ".+", "color": "", "raw": "", "all": ""},
    "alt": {"class": ".+"},
    "cp2110": {},
}
_PREFIX = "protocol_"
_MEMORY_DEVICES = 1  # the major number of /dev/null and its like


def check_url(url: str) -> None:
    """Raise UsageError for a URL that can never be a board's port, with what was probably meant."""
    emulated.register()
    if not url.strip():
        raise UsageError(
            "a board's URL is empty", hint="e.g. /dev/serial/by-id/usb-..., native://?uid=01"
        )
    if any(ord(letter) < 32 for letter in url):
        raise UsageError(f"{url!r}: a port has no control characters in its name")
    if "://" not in url:
        _check_path(url, url)
        return
    try:
        parts = urlsplit(url)
        number = parts.port if parts.scheme in {"socket", "rfc2217"} else None
    except ValueError as error:
        raise UsageError(f"{url}: {error}", hint="a TCP port is a number from 1 to 65535") from None
    handler = _handler(url)
    if handler is not None and hasattr(handler, "check"):
        handler.check(url)
    elif parts.scheme == "hwgrep":
        _check_pattern(url)
    elif parts.scheme in _QUERY:
        _check_query(url, parts)
        if parts.scheme in {"socket", "rfc2217"} and not (parts.hostname and number):
            raise UsageError(
                f"{url}: host or port is missing",
                hint=f"e.g. {parts.scheme}://192.168.0.7:2217 (ports: 1 to 65535)",
            )
        if parts.scheme in {"spy", "alt"}:
            _check_path(url, parts.netloc + parts.path)


def _check_path(url: str, path: str) -> None:
    if re.fullmatch(r"(\\\\\.\\)?com\d+:?", path, re.IGNORECASE):
        raise UsageError(
            f"{url}: a name that Windows gives to ports",
            hint="here they are called /dev/ttyUSB0, /dev/ttyACM0 or /dev/serial/by-id/...",
        )
    if not path.startswith("/"):
        device = Path("/dev", path)
        meant = path.startswith("tty") or (path and device.exists())
        near = f"did you mean {device}? " if meant else ""
        scheme = re.match(r"(\w+):/?", path)
        if scheme and scheme[1] in _schemes():
            near = f"did you mean {scheme[1]}://...? "
        raise UsageError(
            f"{url}: neither the full path of a port nor a URL",
            hint=f"{near}e.g. /dev/serial/by-id/usb-..., native://?uid=01",
        )
    try:
        found = os.stat(path)  # noqa: PTH116 - the path as it stands
    except OSError:
        return  # waited for
    except ValueError as error:
        raise UsageError(f"{url}: no path: {error}") from None
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISREG, "a regular file"))
    kind = next((name for test, name in kinds if test(found.st_mode)), None)
    if kind is None and (
        not stat.S_ISCHR(found.st_mode) or os.major(found.st_rdev) == _MEMORY_DEVICES
    ):
        kind = "no terminal device"
    if kind is not None:
        raise UsageError(
            f"{url}: this is {kind}, not a serial port",
            hint="ls /dev/serial/by-id shows the ports that are plugged in",
        )


def _schemes() -> list[str]:
    """Return the schemes that have a handler, whether or not its dependencies are installed."""
    modules = [
        module.name
        for package in serial.protocol_handler_packages
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__)
    ]
    return sorted({name.removeprefix(_PREFIX) for name in modules if name.startswith(_PREFIX)})


def _handler(url: str) -> type | None:
    """Return the handler's class, or None for a handler without one. Raises UsageError."""
    scheme, known = url.partition("://")[0].lower(), _schemes()
    if scheme not in known:
        raise UsageError(
            f"{url}: unknown scheme {scheme!r}{suggestion(scheme, known)}",
            hint="known: " + ", ".join(f"{name}://" for name in known),
        )
    for package in serial.protocol_handler_packages:
        name = f"{package}.{_PREFIX}{scheme}"
        try:
            found: type | None = getattr(importlib.import_module(name), "Serial", None)
        except ImportError as error:
            if error.name == name:
                continue
            raise UsageError(
                f"{url}: {scheme}:// needs the Python package {error.name}",
                hint="pip install hidapi" if error.name == "hid" else None,
            ) from None
        return found
    return None


def _check_pattern(url: str) -> None:
    pattern, *options = url.partition("://")[2].split("&")
    try:
        re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{url}: {pattern!r} is not a regular expression: {error}") from None
    for option in options:
        key, _, value = option.partition("=")
        if key not in {"n", "skip_busy"}:
            raise UsageError(
                f"{url}: unknown option {key!r}{suggestion(key, ('n', 'skip_busy'))}",
                hint="known options: n, skip_busy",
            )
        if key == "n" and not (value.isdecimal() and int(value) > 1):
            raise UsageError(f"{url}: n={value}: wants a number from 2 on")


def _check_query(url: str, parts: SplitResult) -> None:
    known = _QUERY[parts.scheme]
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key not in known:
            raise UsageError(
                f"{url}: unknown option {key!r}{suggestion(key, known)}",
                hint=f"known options: {', '.join(known) or 'none'}",
            )
        if known[key] and not re.fullmatch(known[key], value):
            wanted = "a number of seconds" if key == "timeout" else known[key].replace("|", ", ")
            raise UsageError(f"{url}: {key}={value}: wants {wanted}")
        if key == "class" and not _is_port_class(value):
            raise UsageError(
                f"{url}: class={value}: no serial port class of pyserial's",
                hint="e.g. class=PosixPollSerial",
            )


def _is_port_class(name: str) -> bool:
    found = getattr(serial, name, None)
    return isinstance(found, type) and issubclass(found, serial.Serial)
