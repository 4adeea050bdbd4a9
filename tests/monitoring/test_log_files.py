"""Log files: their lines, and a folder that refuses them."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from edgeprof.shared.settings import Settings
from edgeprof.shared.telemetry import logs
from edgeprof.shared.telemetry.context_fields import bound_job


def test_log_lines_are_json_with_the_labs_fields(settings: Settings, tmp_path: Path) -> None:
    """The seed's fields, ECS names, our context and the trace id, in a file of this process."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        logs.configure(settings.model_copy(update={"log_dir": tmp_path / "logs"}), "edgeprof-test")
        with bound_job("job1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"):
            logs.operations.info("Device connected", extra={"device_id": "b1", "odd": {1, 2}})
        path = tmp_path / "logs" / f"profiler-testhost-{os.getpid()}.jsonl"
        line = json.loads(path.read_text())
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers[:] = before
        root.setLevel(level)

    assert line["message"] == "Device connected"
    assert line["device_id"] == "b1"
    assert line["job_id"] == "job1"
    assert line["trace.id"] == "0af7651916cd43dd8448eb211c80319c"
    assert {"timestamp", "level", "module", "function", "line", "@timestamp"} <= line.keys()


def test_log_folder_that_cannot_be_written_is_not_fatal(settings: Settings, tmp_path: Path) -> None:
    """Profiling goes on without the file."""
    (tmp_path / "file").touch()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        logs.configure(settings.model_copy(update={"log_dir": tmp_path / "file"}), "edgeprof-test")
        assert len(root.handlers) == 1
    finally:
        root.handlers[:] = before
        root.setLevel(level)
