"""An archive of an older version is brought up to date, and loses nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

from edgeprof.scheduler.archive import Archive, Query, migrate
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobView

MakeView = Callable[..., JobView]
JOB_COLUMNS = (
    "id", "state", "reason", "model", "model_sha256", "quantization", "target", "user", "sweep_id",
    "trace_id", "attempts", "created_s", "started_s", "finished_s", "platform", "device_id",
    "board_uid", "host", "emulated", "document",
)  # fmt: skip


def old_document(view: JobView) -> dict[str, Any]:
    """A job as version 0001 archived it: without all that is new."""
    document = view.model_dump(mode="json")
    del document["schema_version"], document["inputs"]
    if document["result"] is not None:
        del document["result"]["schema_version"]
        for case in document["result"]["cases"]:
            del case["ended_at_token"]
            case["score"] = {
                "n_tokens": 63, "nll_nats": 2.0, "perplexity": 7.39, "top1_agreement": 1.0,
                "accuracy": 0.3, "quantization_error_rate": None,
            }  # fmt: skip
    return document


@pytest.fixture
def old_archive(archive_url: str) -> Callable[[list[dict[str, Any]]], None]:
    """`old_archive(documents)`: an archive that only migration 0001 has made, with these jobs in
    it."""

    def make(documents: list[dict[str, Any]]) -> None:
        engine = create_engine(archive_url)
        config = Config()
        config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
        with engine.begin() as connection:
            for document in documents:
                row = dict.fromkeys(JOB_COLUMNS) | {
                    name: document[name] for name in JOB_COLUMNS if name in document
                }
                row |= {
                    "model": document["model"]["name"],
                    "model_sha256": document["model"]["sha256"],
                    "quantization": document["model"]["quantization"],
                    "attempts": len(document["attempts"]),
                    "document": json.dumps(document),
                }
                names = ", ".join(f'"{name}"' for name in row)
                values = ", ".join(f":{name}" for name in row)
                connection.execute(text(f"INSERT INTO jobs ({names}) VALUES ({values})"), row)
                connection.execute(
                    text("INSERT INTO tests VALUES (:id, 0, 'pp64', 64, 0, 0, 210, 10, '[210]')"),
                    {"id": document["id"]},
                )
        engine.dispose()

    return make


def rows(url: str, statement: str) -> list[Any]:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
        found = database.execute(statement).fetchall()
    database.close()
    return found


def test_old_jobs_are_there_and_say_that_they_are_old(
    old_archive: Callable[..., None], archive_url: str, make_view: MakeView
) -> None:
    """Each with its numbers; what no record held then is empty, not made up."""
    documents = [old_document(make_view()), old_document(make_view("job2", state=JobState.FAILED))]
    old_archive(documents)

    with Archive(archive_url) as archive:
        found = {view.id: view for view in archive.find(Query())}

    assert (found["job1"].schema_version, found["job1"].inputs) == (1, None)
    for document in documents:
        now = found[document["id"]].model_dump(mode="json", exclude_unset=True)
        assert now == document
    assert rows(archive_url, "select job_id, avg_ts from tests order by 1") == [
        ("job1", 210),
        ("job2", 210),
    ]


def test_new_columns_hold_what_old_documents_tell(
    old_archive: Callable[..., None], archive_url: str, make_view: MakeView
) -> None:
    """Context, cache, repetitions and perplexity can be asked for in SQL; nothing else is known."""
    old_archive([old_document(make_view()), old_document(make_view("job2", state=JobState.FAILED))])

    Archive(archive_url).close()

    columns = "schema_version, n_ctx, kv_type, repetitions, perplexity, warmup, tags, prompt_text"
    assert rows(archive_url, f"select {columns} from jobs order by id") == [
        (1, 128, "F16", 3, 7.39, None, None, None),
        (1, None, None, None, None, None, None, None),
    ]


def test_documents_of_anything_do_not_stop_it(
    old_archive: Callable[..., None], archive_url: str, make_view: MakeView
) -> None:
    """The migration passes over a mangled document, and does more than one page of jobs."""
    documents = [old_document(make_view(f"job{n:04}")) for n in range(1100)]
    old_archive(documents)
    with sqlite3.connect(archive_url.removeprefix("sqlite:///")) as database:
        for n, mangled in enumerate(["null", "[]", '{"result": 7}', '{"result": {"load": 1}}']):
            database.execute("update jobs set document = ? where id = ?", (mangled, f"job{n:04}"))
    database.close()

    Archive(archive_url).close()

    assert rows(archive_url, "select count(*), count(n_ctx) from jobs") == [(1100, 1096)]


def test_old_and_new_jobs_stand_side_by_side(
    old_archive: Callable[..., None], archive_url: str, make_view: MakeView
) -> None:
    """An old job that is archived again stays what it was."""
    old = old_document(make_view("old"))
    old_archive([old])

    with Archive(archive_url) as archive:
        archive.save([make_view("new", schema_version=2), *archive.find(Query())])
        found = {view.id: view.schema_version for view in archive.find(Query())}

    assert found == {"old": 1, "new": 2}
