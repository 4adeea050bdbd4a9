"""Which boards an agent drives, from boards.toml, --board URL, and what is plugged in.

# optional; ports that come and go. These are the default without a file
watch = ["/dev/serial/by-id/*", "/dev/serial/by-path/*"]
exclude = ["*-FTDI_*"]                # optional; watched ports that are left alone

[[board]]
uid = "2a0033000f51373138393335"      # a watched board, on whatever port; the rest is optional
id = "bench-3"                        # without: <platform>-<start of its uid>
platform = "stm32f405"                # a board of another platform is refused
baud = 115200                         # the rate to open at; the board may offer a faster one
flash = ["st-flash", "write", "{slot}", "0x0800C000"]   # how a model gets into flash, where that
                                      # is unusual: see flashing/slots.py
# reset: or "rts", { hub = "1-1.2", port = 3 }, { command = ["pyocd", "reset"] }
reset = "dtr"                         # how a board that does not answer is reset
flash_by = "probe:0669FF3"            # where firmware and models are written, if not over its port
image = "stm32f405-feather"           # its firmware, where a platform has one for each board
meter = ["my-meter", "--port", "3"]   # a program that prints milliwatts, a number a line
tags = ["psram=8MB", "lab=berlin"]    # jobs can require them; or { psram = "8MB", lab = "berlin" }

[[board]]
url = "/dev/ttyS4"                    # a port that is always driven, whatever board is there
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from edgeprof.shared.errors import UsageError
from edgeprof.shared.types.tags import Tags
from edgeprof.shared.types.wire import Name, WireModel
from edgeprof.workers.board import config_errors
from edgeprof.workers.emulated.check import check_url

#: The names that udev gives to USB serial ports. They outlive a replug. Adapters without serial
#: numbers share a name in by-id, which is then the last one's; in by-path each has its own.
WATCHED: Final = ("/dev/serial/by-id/*", "/dev/serial/by-path/*")

Word = Annotated[str, Field(min_length=1, max_length=1024)]


class HubPort(WireModel):
    """A port of a USB hub whose power can be cut by uhubctl."""

    hub: Annotated[str, Field(pattern=r"^[0-9][0-9.-]*$")]
    port: Annotated[int, Field(ge=1, le=64)]


class ResetCommand(WireModel):
    """A program that resets a board, as words and never as a line for a shell.

    "{port}" becomes the board's port.
    """

    command: Annotated[tuple[Word, ...], Field(min_length=1)]


class BoardConfig(WireModel):
    """One board of this host."""

    url: Word | None = None
    uid: Annotated[str, Field(pattern=r"^([0-9a-f]{2}){1,16}$")] | None = None
    id: Name | None = None
    platform: Name | None = None
    baud: Annotated[int, Field(gt=0, le=12_000_000)] = 115200
    flash: tuple[str, ...] = ()
    flash_by: Word | None = None
    image: Name | None = None
    reset: Literal["dtr", "rts"] | HubPort | ResetCommand | None = None
    meter: tuple[Word, ...] = ()
    tags: Tags = Field(default_factory=dict)
    #: Whether the port is watched. Then anything may be there: a board, a modem, nothing.
    watched: bool = False
    #: Configurations of the boards, by uid, that may be plugged in there.
    pinned: tuple[BoardConfig, ...] = ()

    @model_validator(mode="after")
    def _can_be_found(self) -> Self:
        if self.url is None and self.uid is None:
            raise ValueError("a board needs a url, or the uid of a watched board")
        return self

    def of(self, uid: str) -> BoardConfig:
        """Return the configuration of the board that answers on this port."""
        for pin in self.pinned:
            if pin.uid == uid:
                return pin.model_copy(update={"url": self.url})
        return self

    @property
    def port(self) -> str:
        """The port's URL; a board that is known only by its uid has none until it is plugged in."""
        assert self.url is not None
        return self.url

    def __str__(self) -> str:
        return self.id or self.port


#: The keys of a [[board]] table; the agent sets the other fields itself.
_KEYS: Final = tuple(key for key in BoardConfig.model_fields if key not in {"watched", "pinned"})


class Boards(WireModel):
    """The content of boards.toml."""

    watch: tuple[Word, ...] = ()
    exclude: tuple[Word, ...] = ()
    board: tuple[BoardConfig, ...] = ()

    @property
    def fixed(self) -> list[BoardConfig]:
        """The boards whose port is written in the file."""
        return [board for board in self.board if board.url is not None]

    def found_at(self, path: str) -> BoardConfig:
        """Return the configuration of whatever is plugged in at a watched port."""
        pins = tuple(board for board in self.board if board.url is None)
        return BoardConfig(url=path, watched=True, pinned=pins)


def load_boards(path: Path | None, urls: Sequence[str]) -> Boards:
    """Read boards.toml and add the URLs; without both, watch the USB serial ports.

    Raises UsageError, which names file, board and key.
    """
    boards = Boards(watch=WATCHED) if path is None and not urls else _read(path)
    boards = boards.model_copy(update={"board": (*boards.board, *map(_at, urls))})
    if not boards.board and not boards.watch:
        raise UsageError(
            f"{path} names no boards", hint="each board is a [[board]] with url or uid"
        )
    if not boards.watch and (lost := [board.uid for board in boards.board if board.url is None]):
        raise UsageError(
            f"{path}: board {lost[0]} has no url, and no ports are watched",
            hint=f'add at the top: watch = ["{WATCHED[0]}"]',
        )
    for key in ("id", "uid", "url"):
        named = [getattr(board, key) for board in boards.board if getattr(board, key)]
        for name in named:
            if named.count(name) > 1:
                raise UsageError(
                    f"two boards have the {key} {name!r}", hint=f"give each its own {key}"
                )
    return boards


def check_ports(boards: Boards, path: Path | None, urls: Sequence[str]) -> None:
    """Raise UsageError for a URL that can never be a port, and name the place where it is written.

    Called before anything is started. A port that is absent now is no mistake: it is waited for.
    """
    in_file = len(boards.board) - len(urls)
    for number, board in enumerate(boards.board, 1):
        where = f"{path}: board {number}: url: " if number <= in_file else "--board "
        try:
            if board.url is not None:
                check_url(board.url)
        except UsageError as error:
            raise UsageError(f"{where}{error}", hint=error.hint) from None
    for pattern in boards.watch:
        if not pattern.startswith("/"):
            raise UsageError(
                f"{path}: watch: {pattern!r} is not a full path", hint=f'e.g. "{WATCHED[0]}"'
            )


def _at(url: str) -> BoardConfig:
    try:
        return BoardConfig(url=url)
    except ValidationError:
        raise UsageError(
            f"--board: a URL has 1 to 1024 characters, this one {len(url)}",
            hint="e.g. --board /dev/serial/by-id/usb-... or --board 'native://?uid=01'",
        ) from None


def _read(path: Path | None) -> Boards:
    if path is None:
        return Boards()
    try:
        data = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    config_errors.check_keys(str(path), data, Boards.model_fields)
    tables = data.get("board")
    for number, table in enumerate(tables if isinstance(tables, list) else (), 1):
        if isinstance(table, dict):
            config_errors.check_keys(f"{path}: board {number}", table, _KEYS)
    try:
        return Boards.model_validate(data)
    except ValidationError as error:
        raise config_errors.explain(str(path), data, error) from None
