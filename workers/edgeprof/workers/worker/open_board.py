"""Open the board that boards.toml describes, over the link of docs/link-protocol.md."""

from __future__ import annotations

from collections.abc import Callable

from edgeprof.shared.settings import Settings
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.protocols import Board
from edgeprof.workers.flashing.slots import find_placer
from edgeprof.workers.link import device


def open_board(
    config: BoardConfig, settings: Settings, should_stop: Callable[[], bool] = lambda: False
) -> Board:
    """Open the board; the wait for it ends with a HostFault once should_stop() is true."""
    options = device.OpenOptions(
        lock_dir=settings.lock_dir,
        slot_dir=settings.cache_dir / "slots",
        baud=config.baud,
        find_placer=find_placer(config),
        should_stop=should_stop,
    )
    return device.open_board(config.port, options)
