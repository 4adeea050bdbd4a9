"""Putting a model into a board's flash, as a slot image (docs/link-protocol.md, section 6).

A SlotPlacer knows how: the flash tool that boards.toml names writes into a real board, and an
emulated board is started again with the slot. Chips that flashing/slots.py can write need no tool.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgeprof.shared import private_files
from edgeprof.shared.errors import HostFault
from edgeprof.shared.sanitize import one_line
from edgeprof.workers import subprocess_env
from edgeprof.workers.emulated import urls

MAGIC = b"TLEPMDL1"
HEADER_BYTES = 64
FLASH_TIMEOUT_S = 300.0


class SlotPlacer(Protocol):
    """A way to put a slot into the flash of one board."""

    @property
    def upload_bytes_per_s(self) -> int | None:
        """How fast this board takes an upload; None: fast enough not to matter."""
        ...

    def place(self, slot: Path, check_stop: Callable[[], None]) -> str:
        """Put the slot there, while its port is closed; returns the URL to open the board by."""
        ...


#: Returns how a slot gets into the board of this URL and platform; None when there is no way.
FindPlacer = Callable[[str, str], SlotPlacer | None]


@dataclass(frozen=True, slots=True)
class FlashTool:
    """Runs the flash tool of boards.toml."""

    url: str
    command: Sequence[str]
    upload_bytes_per_s: int | None = None

    def place(self, slot: Path, check_stop: Callable[[], None]) -> str:
        """Have the tool write the slot; the board is then where it was."""
        run_flash_tool(self.command, self.url, slot, check_stop)
        return self.url


@dataclass(frozen=True, slots=True)
class EmulatorRestart:
    """Has the emulator map the slot when it is started again, which opening the URL does."""

    url: str

    @property
    def upload_bytes_per_s(self) -> int | None:
        """How fast the emulated UART is, where it is slow."""
        return urls.upload_bytes_per_s(self.url)

    def place(self, slot: Path, check_stop: Callable[[], None]) -> str:  # noqa: ARG002
        """Return the URL that starts the emulator with the slot."""
        return urls.with_slot(self.url, slot)


def only_emulated(url: str, _platform: str) -> SlotPlacer | None:
    """Return how a slot gets into an emulated board: no tool is needed."""
    return EmulatorRestart(url) if urls.is_emulated(url) else None


def write_slot(model: Path, sha256: str, folder: Path) -> Path:
    """Write the slot image of `model` (hash in hex) into `folder`; returns its path.

    An image that is there whole is left alone.
    """
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
