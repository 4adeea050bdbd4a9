"""The last lines of a board's worker are in Redis, and cost its jobs nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest

from edgeprof.shared.errors import StoreUnavailable
from edgeprof.shared.store.board_logs import KEPT_LINES, LONGEST_LINE, BoardLogs
from edgeprof.shared.store.lab import LabStore
from edgeprof.workers.worker.board_log import BoardLog


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger whose lines nobody else gets."""
    made = logging.getLogger("test.board-log")
    made.propagate = False
    made.setLevel(logging.DEBUG)
    yield made
    made.handlers.clear()


@pytest.fixture
def handler(logger: logging.Logger) -> BoardLog:
    made = BoardLog()
    logger.addHandler(made)
    return made


class Unreliable:
    """A store of logs that is away at first, and remembers how often it was asked."""

    def __init__(self, logs: BoardLogs, failures: int = 0) -> None:
        self._logs = logs
        self._failures = failures
        self.calls = 0

    def append(self, device_id: str, lines: Sequence[str]) -> None:
        self.calls += 1
        if self.calls <= self._failures:
            raise StoreUnavailable("away")
        self._logs.append(device_id, lines)


def test_lines_have_the_fields_of_the_log_files(
    store: LabStore, handler: BoardLog, logger: logging.Logger
) -> None:
    """A line carries logger, message, place and every extra; one that says too much is cut, and
    DEBUG is left out."""
    logger.info("Device connected", extra={"device_id": "b"})
    logger.debug("too small")
    logger.warning("x" * 10_000, extra={f"k{n}": "y" * 1000 for n in range(20)})
    logs = BoardLogs(store.script)
    assert handler.write(logs, "b")

    first, second = (line.fields for line in logs.read("b"))
    wanted = {"logger": "test.board-log", "message": "Device connected", "level": "INFO"}
    assert wanted.items() <= first.items()
    assert (first["device_id"], first["module"]) == ("b", "test_board_log")
    assert len(json.dumps(second)) < LONGEST_LINE
    ttl_s = store.script.redis.ttl(store.script.key("board:b:log"))
    assert 13 * 86400 < ttl_s <= 14 * 86400


def test_flood_costs_lines_and_says_how_many(
    store: LabStore, handler: BoardLog, logger: logging.Logger
) -> None:
    """What comes faster than it is written is dropped and counted, oldest first; no more than the
    newest lines are kept, in one call."""
    for number in range(KEPT_LINES + 7):
        logger.info("line %d", number)
    logs = Unreliable(BoardLogs(store.script))
    assert handler.write(cast("Any", logs), "b")
    logger.info("the end")
    assert handler.write(cast("Any", logs), "b")

    found = [line.fields["message"] for line in BoardLogs(store.script).read("b")]
    assert len(found) == KEPT_LINES
    assert found[-2:] == [f"line {KEPT_LINES + 6}", "the end"]
    assert logs.calls == 2


def test_lines_wait_for_a_redis_that_is_away(
    store: LabStore, handler: BoardLog, logger: logging.Logger
) -> None:
    """What could not be written stays, in its order, with what could not become text counted."""
    logs = Unreliable(BoardLogs(store.script), failures=1)
    logger.info("one")
    handler.handle(logging.makeLogRecord({"msg": "%d", "args": ("no number",), "levelno": 20}))
    assert not handler.write(cast("Any", logs), "b")
    logger.info("two")
    assert handler.write(cast("Any", logs), "b")
    lost, *found = [line.fields["message"] for line in BoardLogs(store.script).read("b")]
    assert lost.startswith("1 line(s) are not in this log")
    assert found == ["one", "two"]


def test_worker_sends_nothing_while_it_logs_nothing(
    store: LabStore,
    handler: BoardLog,
    logger: logging.Logger,
    wait_until: Callable[..., None],
) -> None:
    """Lines of one moment go out together, and silence costs no call; what is logged last is
    written when the worker ends."""
    logs = Unreliable(BoardLogs(store.script))
    for number in range(5):
        logger.info("%d", number)
    handler.start(cast("Any", logs), "b")
    wait_until(lambda: logs.calls == 1, "the lines are written")
    logger.info("bye")
    handler.end()
    handler.end()
    assert logs.calls == 2
    assert [line.fields["message"] for line in BoardLogs(store.script).read("b")][-1] == "bye"


def test_readers_go_on_where_they_were_and_past_nonsense(store: LabStore) -> None:
    """A cursor leads to the lines after it; what is no line of ours is left out; a forgotten board
    has no log."""
    logs, key = BoardLogs(store.script), store.script.key("board:b:log")
    logs.append("b", ['{"message": "one"}'])
    store.script.redis.xadd(key, {"line": "{"})
    store.script.redis.xadd(key, {"other": "1"})
    logs.append("b", ["[]", '{"message": "two"}'])
    first, second = logs.read("b")
    assert [line.fields["message"] for line in logs.read("b", first.cursor)] == ["two"]
    assert logs.read("b", second.cursor) == []
    store.boards.forget("b")
    assert logs.read("b") == []
