"""Keeps a board's ceilings on its host: they change only with its firmware and its clock."""

from __future__ import annotations

import logging
from pathlib import Path

from edgeprof.shared.sanitize import one_line
from edgeprof.shared.types.profile import Ceilings
from edgeprof.workers.board.protocols import RunBoard

log = logging.getLogger(__name__)


def ceilings_of(board: RunBoard, folder: Path | None, epoch: int) -> Ceilings | None:
    """Return a board's ceilings, measured now unless they are known. Raises a Fault.

    None: the board's firmware cannot measure them. A file that cannot be read or written costs a
    measurement, some milliseconds of the board's time.
    """
    hello = board.hello
    if folder is None:
        return board.ceilings(epoch)
    path = folder / f"{hello.uid}.json"
    known = _read(path)
    if known is not None and (known.firmware_git_hash, known.clock_hz) == (
        hello.firmware_git_hash,
        hello.clock_hz,
    ):
        return known
    measured = board.ceilings(epoch)
    if measured is not None:
        _write(path, measured)
    return measured


def _read(path: Path) -> Ceilings | None:
    try:
        return Ceilings.read(path.read_text())
    except (OSError, ValueError):
        return None


def _write(path: Path, ceilings: Ceilings) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ceilings.model_dump_json())
    except OSError as error:
        log.warning("the board's ceilings are measured again each time: %s", one_line(str(error)))
