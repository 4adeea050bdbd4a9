"""One file with jobs and their models, to carry from one lab's archive to another's.

JSON lines, also gzipped: a head, the jobs, their models, and a foot with a SHA-256 of all lines
before it, so that a file that was cut or changed is refused as a whole. Ids stay as they are.
Should two labs have given one id to two jobs, the one that comes later gets an id of its own, made
of its content: importing it again finds it.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, cast

from pydantic import ValidationError

from edgeprof.scheduler.archive.archive import Archive
from edgeprof.shared import private_files
from edgeprof.shared.errors import UsageError
from edgeprof.shared.own_version import own_version
from edgeprof.shared.types.job import SCHEMA_VERSION
from edgeprof.shared.types.model import ModelRef
from edgeprof.shared.types.result import JobView
from edgeprof.shared.types.wire import MAX_FILE_BYTES, is_name
from edgeprof.shared.validation import first_error

#: Of the file; the records inside have a schema of their own.
FORMAT: Final = 1
_LONGEST_LINE: Final = 2 * MAX_FILE_BYTES
_BATCH: Final = 100

#: Returns a model's bytes, or None when they are nowhere any more.
FindModel = Callable[[ModelRef], bytes | None]
#: Keeps a model's bytes, whose hash was checked.
KeepModel = Callable[[str, bytes], object]


@dataclass(slots=True)
class Exported:
    """What an export wrote."""

    jobs: int = 0
    models: int = 0
    #: Models that are nowhere any more, by name and type.
    lost: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Imported:
    """What an import did."""

    added: list[str] = field(default_factory=list)
    #: Jobs that were in the archive before, the very same.
    known: list[str] = field(default_factory=list)
    #: Old id -> new id, of jobs whose id another job of the archive had.
    renamed: dict[str, str] = field(default_factory=dict)
    models: list[str] = field(default_factory=list)


def write(path: Path, views: Iterable[JobView], find_model: FindModel) -> Exported:
    """Write jobs, then their models, each once. A name that ends with .gz is compressed.

    The file is written whole or not at all, and never held in memory. Raises OSError.
    """
    done, models, digest = Exported(), dict[str, ModelRef](), hashlib.sha256()
    with private_files.written_whole(path) as file, ExitStack() as stack:
        out: IO[bytes] = file
        if _zipped(path):
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
            out = cast("IO[bytes]", stack.enter_context(packed))

        def put(value: Mapping[str, Any]) -> None:
            line = _line(value)
            digest.update(line)
            out.write(line)

        put({"edgeprof_export": FORMAT, "schema_version": SCHEMA_VERSION, "by": own_version()})
        for view in views:
            put({"job": view.model_dump(mode="json")})
            models.setdefault(view.model.sha256, view.model)
            done.jobs += 1
        for sha256, wanted in models.items():
            if (content := find_model(wanted)) is None:
                done.lost.append(f"{wanted.name} {wanted.made_as}")
            else:
                put({"model": sha256, "base64": base64.b64encode(content).decode()})
                done.models += 1
        foot = {"jobs": done.jobs, "models": done.models, "sha256": digest.hexdigest()}
        out.write(_line(foot))
    return done


def read(path: Path, archive: Archive, keep_model: KeepModel) -> Imported:
    """Add the jobs of a file to the archive. Nothing is added of a file that is not whole.

    Raises UsageError for such a file, OSError, and InfrastructureError of the archive.
    """
    done = Imported()
    _check(path)
    batch: list[JobView] = []
    for record in _records(path):
        if "model" in record:
            sha256, content = _model(path, record)
            keep_model(sha256, content)
            done.models.append(sha256)
        elif "job" in record:
            batch.append(_job(path, record))
            if len(batch) == _BATCH:
                _add(archive, batch, done)
                batch = []
    _add(archive, batch, done)
    return done


def _add(archive: Archive, views: Sequence[JobView], done: Imported) -> None:
    fresh: dict[str, JobView] = {}
    for view in views:
        there = fresh.get(view.id) or archive.view(view.id)
        if there is not None and there != view:
            other = _another_id(view)
            done.renamed[view.id] = other
            renamed = view.model_copy(update={"id": other})
            there = fresh.get(other) or archive.view(other)
        else:
            renamed = view
        if there is None:
            fresh[renamed.id] = renamed
        else:
            done.known.append(renamed.id)
    archive.save(list(fresh.values()))
    done.added += fresh


def _another_id(view: JobView) -> str:
    digest = hashlib.sha256(view.model_dump_json().encode()).hexdigest()
    return f"{view.id[:50]}-{digest[:12]}"


def _check(path: Path) -> None:
    """Raise UsageError unless the file is an export, whole and unchanged, that can be read."""
    digest, before = hashlib.sha256(), b""
    counts = {"jobs": 0, "models": 0}
    number = 0
    for number, line in enumerate(_lines(path), 1):
        record = _parsed(path, number, line)
        if number == 1 and record.get("edgeprof_export") != FORMAT:
            raise UsageError(
                f"{path}: not a file of `edgeprof export`, or of a newer edgeprof",
                hint="it begins with edgeprof_export",
            )
        digest.update(before)
        before = line
        if "job" in record:
            _job(path, record)
            counts["jobs"] += 1
        elif "model" in record:
            _model(path, record)
            counts["models"] += 1
    wanted = counts | {"sha256": digest.hexdigest()}
    if not number or _parsed(path, number, before) != wanted:
        raise UsageError(
            f"{path}: the file was cut or changed: its last line does not match the others",
            hint="copy it again; nothing was imported",
        )


def _records(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_lines(path), 1):
        yield _parsed(path, number, line)


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with _opened(path) as file:
            while line := file.readline(_LONGEST_LINE):
                yield line
    except (gzip.BadGzipFile, EOFError) as error:
        raise UsageError(f"{path}: the file was cut or changed: {error}") from None


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    opened: Any = gzip.open if zipped else open
    return cast("IO[bytes]", opened(path, "rb"))


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise UsageError(f"{path}: line {number} is no JSON object: the file was cut or changed")
    return record


def _job(path: Path, record: Mapping[str, Any]) -> JobView:
    try:
        view = JobView.read(json.dumps(record["job"]))
    except ValidationError as error:
        raise UsageError(f"{path}: a job in it cannot be read: {first_error(error)}") from None
    except ValueError as error:
        raise UsageError(f"{path}: a job in it cannot be read: {error}") from None
    if not is_name(view.id) or not view.state.terminal:
        raise UsageError(f"{path}: job {view.id[:64]!r} in it is none that has ended")
    return view


def _model(path: Path, record: Mapping[str, Any]) -> tuple[str, bytes]:
    try:
        content = base64.b64decode(record["base64"], validate=True)
    except (KeyError, TypeError, binascii.Error):
        content = b""
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != record["model"]:
        raise UsageError(f"{path}: a model in it does not have the hash that it should have")
    return sha256, content


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _zipped(path: Path) -> bool:
    return path.suffix == ".gz"
