"""Putting a model into a board's flash, as a slot image (docs/link-protocol.md, section 6).

Emulated boards are started again with QEMU's loader (or a mapped file) placing the slot; real ones run
the flash tool that boards.toml names.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from edgeprof.shared import private_files
from edgeprof.shared.errors import HostFault
from edgeprof.shared.sanitize import one_line
from edgeprof.workers import subprocess_env

MAGIC = b"TLEPMDL1"
HEADER_BYTES = 64
FLASH_TIMEOUT_S = 300.0


def write_slot(model: Path, sha256: str, folder: Path) -> Path:
    """Write the slot image of `model` (hash in hex) into `folder`, unless it is there whole; returns its path."""
    path = folder / f"{sha256}.slot"
    try:
        data = model.read_bytes()
    except OSError as error:
        raise HostFault(
            f"cannot read the cached model {model}: {error.strerror}", code="cache_read"
        ) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise HostFault(f"{model} is not the model it is named after", code="cache_damaged")
    header = MAGIC + len(data).to_bytes(4, "little") + bytes(4) + bytes.fromhex(sha256)
    image = header.ljust(HEADER_BYTES, b"\xff") + data
    if path.is_file() and path.read_bytes() == image:
        return path
    try:
        private_files.write_whole(path, image)  # other boards of this host share it
    except OSError as error:
        raise HostFault(f"cannot write the slot image {path}: {error}", code="disk") from error
    return path


def emulated(url: str) -> bool:
    """Whether the board is a process that we start, and so can start again with another slot."""
    return urlsplit(url).scheme in {"native", "qemu"}


def with_slot(url: str, slot: Path) -> str:
    """The URL of the same emulated board with another slot."""
    parts = urlsplit(url)
    query = [(k, v) for k, v in parse_qsl(parts.query) if k != "slot"]
    # not urlunsplit, which writes a scheme it does not know without its //
    return f"{parts.scheme}://{parts.netloc}?{urlencode([*query, ('slot', str(slot))], safe='/:')}"


def run_flash_tool(
    command: Sequence[str],
    port: str,
    slot: Path,
    check_stop: Callable[[], None] = lambda: None,
) -> None:
    """Run the configured flash tool; {slot} and {port} in its arguments are filled in.

    The command comes from the lab host's own boards.toml, never from a job, and no shell sees it.
    check_stop is called some times a second; when it raises, the tool is ended.
    """
    arguments = [part.replace("{slot}", str(slot)).replace("{port}", port) for part in command]
    try:
        code, output = subprocess_env.run(arguments, FLASH_TIMEOUT_S, check_stop)
    except OSError as error:
        raise HostFault(
            f"cannot start flash tool {arguments[0]}: {error.strerror}",
            code="no_flash_tool",
            hint="is it installed, and flash in boards.toml right?",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise HostFault(
            f"{port}: the flash tool did not end in {FLASH_TIMEOUT_S:.0f} s", code="flash_timeout"
        ) from error
    if code != 0:
        tail = " | ".join(output.strip().splitlines()[-3:])
        raise HostFault(
            f"{port}: the flash tool failed ({code}): {one_line(tail, 500)}",
            code="flash_failed",
        )
