"""Logs: one JSON object a line whatever is logged, and never the program's trouble."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.shared.settings import Settings
from edgeprof.shared.telemetry import logs

Configure = Callable[..., StringIO]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def configure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    """`configure(log_dir=…)` sets logging up as an agent has it, and returns what is its stderr."""
    root, said = logging.getLogger(), StringIO()
    before = root.level, root.handlers[:]

    def start(log_dir: Path = folder) -> StringIO:
        monkeypatch.setattr(
            sys, "stderr", said
        )  # here: between fixture and test pytest puts in its own
        logs.configure(Settings(log_dir=log_dir, host="h"), "edgeprof-test")
        return said

    yield start
    for handler in root.handlers:
        with suppress(OSError):
            handler.close()
    root.level, root.handlers[:] = before


def lines(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_folder_is_made_and_the_file_is_this_process_own(
    configure: Configure, folder: Path
) -> None:
    """Two processes never write into one file: rotation by rename would lose lines."""
    configure()
    assert [path.name for path in folder.iterdir()] == [f"profiler-h-{os.getpid()}.jsonl"]


def test_line_has_every_field(configure: Configure, folder: Path) -> None:
    """The document's fields, every extra, and the ECS names."""
    configure()
    logs.operations.info("Device connected", extra={"device_id": "d", "port": "/dev/ttyA"})

    (line,) = lines(folder)
    assert line["timestamp"] == line["@timestamp"]
    assert line["timestamp"].endswith("+00:00")
    wanted = {
        "level": "INFO",
        "log.level": "info",
        "logger": "profiler.operations",
        "message": "Device connected",
        "module": "test_logs",
        "function": "test_line_has_every_field",
        "device_id": "d",
        "port": "/dev/ttyA",
        "host": "h",
        "host.name": "h",
        "service.name": "edgeprof-test",
    }
    assert wanted.items() <= line.items()


def test_exception_is_told_whole(configure: Configure, folder: Path) -> None:
    """A logged exception has its class, its text and its stack."""
    configure()
    try:
        int("what went wrong")
    except ValueError:
        logging.getLogger("x").exception("it failed")

    (line,) = lines(folder)
    assert line["error.type"] == "ValueError"
    assert "what went wrong" in line["error.message"]
    assert "test_exception_is_told_whole" in line["error.stack_trace"]


CIRCLE: dict[str, Any] = {}
CIRCLE["self"] = CIRCLE


@pytest.mark.parametrize("value", [object(), {1, 2}, b"\xff", math.nan, {(1, 2): 3}, CIRCLE])
def test_anything_can_be_logged(configure: Configure, folder: Path, value: object) -> None:
    """A value for which JSON has no form is logged as text, and the line is valid JSON."""
    configure()
    logging.getLogger("x").warning("odd", extra={"value": value})

    assert lines(folder)[0]["message"] == "odd"


@given(st.text(), st.dictionaries(st.text(min_size=1), st.text()))
def test_no_text_breaks_a_line(message: str, value: dict[str, str]) -> None:
    """Newlines, control characters and lone surrogates stay inside one line."""
    record = logging.makeLogRecord({"msg": message, "value": value})

    text = logs.StructuredFormatter("s", "h").format(record)
    assert "\n" not in text
    assert json.loads(text)["message"] == message


def test_files_are_rotated_by_rename(
    configure: Configure, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shipper follows the renamed file to its end; nothing is cut off under it."""
    configure()
    (handler,) = [h for h in logging.getLogger().handlers if isinstance(h, logging.FileHandler)]
    monkeypatch.setattr(handler, "maxBytes", 1000)
    for number in range(10):
        logging.getLogger("x").warning("line %d", number)

    names = sorted(path.name.partition(".jsonl")[2] for path in folder.iterdir())
    assert names == ["", ".1", ".2", ".3", ".4"]


def test_folder_that_cannot_be_made_costs_one_warning(tmp_path: Path, configure: Configure) -> None:
    """Profiling goes on without a file."""
    (tmp_path / "file").touch()
    said = configure(tmp_path / "file" / "logs")
    logging.getLogger("x").warning("still here")

    assert said.getvalue().count("no log file at") == 1
    assert "still here" in said.getvalue()


def test_full_disk_is_told_once(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full: every write fails; people hear it once, and the lines on stderr go on."""
    said = configure()
    (handler,) = [h for h in logging.getLogger().handlers if isinstance(h, logging.FileHandler)]
    full = Path("/dev/full").open("w")  # noqa: SIM115 - closing it fails, too
    monkeypatch.setattr(handler, "stream", full)
    for _ in range(3):
        logging.getLogger("x").warning("a line")
    with suppress(OSError):
        full.close()
    monkeypatch.undo()

    assert said.getvalue().count("No space left on device") == 1
    assert said.getvalue().count("a line") == 3


def test_dead_collector_is_told_once(configure: Configure) -> None:
    """The exporter complains at every batch."""
    said = configure()
    for _ in range(5):
        logging.getLogger("opentelemetry.exporter.otlp").error("connection refused")

    assert said.getvalue().count("connection refused") == 1


def test_files_of_long_ago_are_removed(folder: Path, configure: Configure) -> None:
    """Every process has a file of its own, so they would pile up; other hosts' are theirs."""
    folder.mkdir()
    for name in ("profiler-h-1.jsonl", "profiler-h-1.jsonl.2", "profiler-other-1.jsonl"):
        (folder / name).touch()
        os.utime(folder / name, (0, 0))
    configure()

    left = {path.name for path in folder.iterdir()} - {f"profiler-h-{os.getpid()}.jsonl"}
    assert left == {"profiler-other-1.jsonl"}
