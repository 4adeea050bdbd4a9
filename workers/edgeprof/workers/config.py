"""Which boards an agent drives: boards.toml, or --board URL.

[[board]]
url = "/dev/serial/by-id/usb-STMicroelectronics_STM32_STLink_066DFF…-if02"
id = "bench-3"                # optional; without: <platform>-<start of its uid>
platform = "stm32f405"        # optional; the board is refused when it says otherwise
baud = 115200                 # optional; the rate to open at, the board may offer a faster one
flash = ["st-flash", "write", "{slot}", "0x08040000"]   # optional; puts a model into flash
tags = { shelf = "left" }     # optional
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from edgeprof.shared.errors import UsageError
from edgeprof.shared.jobs import Name, Wire


class BoardConfig(Wire):
    """One board of this host."""

    url: Annotated[str, Field(min_length=1, max_length=1024)]
    id: Name | None = None
    platform: Name | None = None
    baud: Annotated[int, Field(gt=0, le=12_000_000)] = 115200
    flash: tuple[str, ...] = ()
    tags: dict[Name, Annotated[str, Field(max_length=256)]] = Field(default_factory=dict)

    def __str__(self) -> str:
        return self.id or self.url


class _File(Wire):
    board: tuple[BoardConfig, ...] = Field(min_length=1)


def load_boards(path: Path | None, urls: Sequence[str]) -> list[BoardConfig]:
    """Read boards.toml and add the URLs. Raises UsageError that names file, board and key."""
    boards: list[BoardConfig] = []
    if path is not None:
        try:
            boards += _File.model_validate(tomllib.loads(path.read_text())).board
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} is not TOML: {error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise UsageError(
                f"{path}: {where}: {first['msg']}", hint="each board is a [[board]] with a url"
            ) from None
    boards += [BoardConfig(url=url) for url in urls]
    if not boards:
        raise UsageError(
            "no boards given", hint="edgeprof worker --board native://, or --boards boards.toml"
        )
    names = [board.id for board in boards if board.id is not None]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two boards are called {name!r}", hint="give each an id of its own")
    return boards
