"""Structured logs: JSON lines with the lab's fields, ECS names and trace ids.

Two loggers carry the events that dashboards and alerts count: `profiler.operations` (connections,
sessions) and `profiler.hardware` (health, anomalies). Everything else logs under its module's name.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any, Final

from edgeprof.shared import tracing
from edgeprof.shared.settings import Settings

operations = logging.getLogger("profiler.operations")
hardware = logging.getLogger("profiler.hardware")

#: What a LogRecord has by itself; whatever else is on one came by `extra` and is our context.
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class StructuredFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, service: str, host: str) -> None:
        super().__init__()
        self._fixed = {"service.name": service, "host.name": host, "process.pid": os.getpid()}

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a value JSON has no form for is shown as text, never an error."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry: dict[str, Any] = {
            "@timestamp": when,
            "timestamp": when,
            "level": record.levelname,
            "log.level": record.levelname.lower(),
            "log.logger": record.name,
            "message": record.getMessage(),
            "module": record.module,
            "function": record.funcName,
            "line": record.lineno,
            **self._fixed,
        }
        if trace_id := tracing.current_trace_id():
            entry["trace.id"] = trace_id
        entry.update({key: value for key, value in vars(record).items() if key not in _OWN})
        if record.exc_info:
            entry["error.stack_trace"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


class _OneLine(logging.Formatter):
    """For people: time, level, message, and which board and job it is about."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; the rest of the context is in the JSON form."""
        about = [getattr(record, key, None) for key in ("device_id", "session_id", "outcome")]
        words = " ".join(str(word) for word in about if word)
        return super().format(record) + (f"  [{words}]" if words else "")


def configure(settings: Settings, service: str) -> None:
    """Log for people on stderr, and as JSON to a file of this process when a folder is set.

    A folder that cannot be written costs the file and one warning; profiling goes on.
    """
    root = logging.getLogger()
    root.setLevel(settings.log_level)
    console = logging.StreamHandler(sys.stderr)
    console.setFormatter(_OneLine())
    root.handlers[:] = [console]
    for chatty in ("alembic", "celery", "kombu", "gguf", "opentelemetry", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    if settings.log_dir is None:
        return
    path = settings.log_dir / f"profiler-{settings.host}-{os.getpid()}.jsonl"
    try:
        settings.log_dir.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(path, delay=False)
    except OSError as error:
        root.warning("no log file at %s: %s", path, error.strerror)
        return
    file.setFormatter(StructuredFormatter(service, settings.host))
    root.addHandler(file)
