"""Structured logs: JSON lines with the lab's fields, ECS names and trace ids.

Two loggers carry the events that dashboards and alerts count: `profiler.operations` (connections,
sessions) and `profiler.hardware` (health, anomalies). Everything else logs under its module's name.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final

from edgeprof.shared import private_files
from edgeprof.shared.sanitize import harmless, one_line
from edgeprof.shared.settings import Settings
from edgeprof.shared.telemetry import context_fields, tracing

operations = logging.getLogger("profiler.operations")
hardware = logging.getLogger("profiler.hardware")

_ROTATE_BYTES: Final = 16 * 1024 * 1024
_ROTATED_KEPT: Final = 4
_KEPT_S: Final = 14 * 86400.0

_NO_NEWS: Final = (
    "consumer: Cannot connect to",
    "consumer: Connection to broker lost",
    "CPendingDeprecationWarning",
)

#: Attributes of every LogRecord; others came by `extra` and are our context.
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class StructuredFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, service: str, host: str) -> None:
        super().__init__()
        self._fixed = {
            "service.name": service,
            "host.name": host,
            "host": host,
            "process.pid": os.getpid(),
        }

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a value that JSON cannot express becomes text, never an error."""
        entry = fields_of(record, self)
        ours = {
            "ecs.version": "8.11.0",
            "@timestamp": entry["timestamp"],
            "log.level": record.levelname.lower(),
            "log.logger": record.name,
        }
        return as_json({**ours, **self._fixed, **entry})


def fields_of(record: logging.LogRecord, formatter: logging.Formatter) -> dict[str, Any]:
    """Return a record's own fields, those bound around it, and its trace."""
    when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    entry: dict[str, Any] = {
        "timestamp": when,
        "level": record.levelname,
        "logger": record.name,
        "message": record.getMessage(),
        "module": record.module,
        "function": record.funcName,
        "line": record.lineno,
    }
    if ids := tracing.current_ids():
        entry["trace.id"], entry["span.id"] = ids
    entry.update(context_fields.current())
    entry.update({key: value for key, value in vars(record).items() if key not in _OWN})
    if record.exc_info:
        kind, error, _ = record.exc_info
        entry["error.type"] = kind.__name__ if kind else ""
        entry["error.message"] = str(error)
        entry["error.stack_trace"] = formatter.formatException(record.exc_info)
    return entry


def as_json(entry: dict[str, Any]) -> str:
    """Return one line of JSON; a value that JSON cannot express becomes text, never an error."""
    try:
        return json.dumps(entry, default=str, allow_nan=False)
    except (TypeError, ValueError):  # a key that is no text, a circle, a NaN
        return json.dumps({key: str(value) for key, value in entry.items()})


class _OneLine(logging.Formatter):
    """Lines for people: time, level, message, and which board and job it is about."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """Return the line; the rest of the context is in the JSON form."""
        about = [getattr(record, key, None) for key in ("device_id", "session_id", "outcome")]
        words = " ".join(str(word) for word in about if word)
        # One line: a message may repeat text of a board or a client.
        return one_line(super().formatMessage(record) + (f"  [{words}]" if words else ""))

    def format(self, record: logging.LogRecord) -> str:
        """Return the line and, if there is one, the traceback."""
        return harmless(super().format(record))


class _File(RotatingFileHandler):
    """The log file of this process, rotated by rename. Its errors are reported once, not raised."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=_ROTATE_BYTES, backupCount=_ROTATED_KEPT, encoding="utf-8")
        self._told = False

    def _open(self) -> TextIOWrapper:
        # Messages name models, prompts and people.
        return open(self.baseFilename, "a", encoding="utf-8", opener=private_files.opener)

    def handleError(self, _record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Write once to stderr that lines are lost, and go on."""
        if not self._told:
            self._told = True
            reason = sys.exc_info()[1]
            sys.stderr.write(f"log file {self.baseFilename}: {reason}; lines of it are lost\n")


def configure(settings: Settings, service: str) -> None:
    """Log for people on stderr, and as JSON to a file of this process.

    A folder that cannot be written costs the file and one warning; profiling goes on.
    """
    root = logging.getLogger()
    root.setLevel(settings.log_level)
    console = logging.StreamHandler(sys.stderr)
    console.setFormatter(_OneLine())
    root.handlers[:] = [console]
    for chatty in ("alembic", "celery", "kombu", "gguf", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    for repeats_itself in ("celery.worker.consumer.consumer", "py.warnings"):
        logging.getLogger(repeats_itself).addFilter(_tells_news)
    console.addFilter(_Once("opentelemetry"))
    path = settings.log_dir / f"profiler-{settings.host}-{os.getpid()}.jsonl"
    try:
        private_files.make_folder(settings.log_dir)
        _forget_old(settings.log_dir, settings.host)
        file = _File(path)
    except OSError as error:
        root.warning("no log file at %s: %s", path, error.strerror)
        return
    file.setFormatter(StructuredFormatter(service, settings.host))
    file.addFilter(_Once("opentelemetry"))
    root.addHandler(file)


def _tells_news(record: logging.LogRecord) -> bool:
    """Whether a line is not one that Celery repeats at every try to reach Redis, which we log once.

    The last of _NO_NEWS warns at each disconnection of a default for late acknowledgement, which we
    do not use.
    """
    said = record.getMessage()
    return not any(words in said for words in _NO_NEWS)


class _Once(logging.Filter):
    """Lets only the first line of each of a library's loggers through.

    OpenTelemetry's exporter logs at every batch that the collector is dead.
    """

    def __init__(self, library: str) -> None:
        super().__init__()
        self._library = library
        self._said: set[tuple[str, int]] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this line is the first, or another library's."""
        if record.name.partition(".")[0] != self._library:
            return True
        key = (record.name, record.levelno)
        if key in self._said:
            return False
        self._said.add(key)
        return True


def _forget_old(folder: Path, host: str) -> None:
    """Remove old log files of this host: every process makes one of its own."""
    oldest_s = time.time() - _KEPT_S
    for path in folder.glob(f"profiler-{host}-*.jsonl*"):
        with suppress(FileNotFoundError):  # another process removes them, too
            if path.stat().st_mtime < oldest_s:
                path.unlink()
