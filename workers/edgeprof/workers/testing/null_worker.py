"""Opens boards of null:// URLs, for a real worker process with real Redis, leases and Celery.

null://?uid=01&platform=null&present=FILE&sick=FILE: the board is there while the file of
`present` exists (without one: always). It fails its self-test while that of `sick` exists.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from edgeprof.shared.settings import Settings
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.protocols import Board
from edgeprof.workers.testing.fake_board import FakeBoard, fake_hello


def open_board(
    config: BoardConfig,
    settings: Settings,  # noqa: ARG001 - as OpenBoard
    should_stop: Callable[[], bool] = lambda: False,  # noqa: ARG001
) -> Board:
    """Open a board of a null:// URL. Raises LinkFault when it is not present."""
    query = parse_qs(urlsplit(config.port).query)
    present, sick = query.get("present", [""])[0], query.get("sick", [""])[0]
    return FakeBoard(
        fake_hello(query["uid"][0], query.get("platform", ["null"])[0]),
        is_present=lambda: not present or Path(present).exists(),
        is_sick=lambda: bool(sick) and Path(sick).is_file(),
    )
