"""An archive of before there were baselines gets them, and loses nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from edgeprof.scheduler.archive import Archive, Query, migrate
from edgeprof.scheduler.archive.baselines import SavedBaseline
from edgeprof.shared.types.result import JobView

MakeView = Callable[..., JobView]


def test_an_archive_of_version_2_is_brought_up_to_date(
    archive_url: str, make_view: MakeView
) -> None:
    """Its jobs are the same, and can be saved as a baseline."""
    document = make_view().model_dump(mode="json")
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    engine = create_engine(archive_url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
    engine.dispose()
    row = {
        "id": "job1", "state": "succeeded", "reason": "done", "model": "tiny",
        "model_sha256": "ab" * 32, "quantization": "Q8_0", "target": "stm32f405", "user": "ada",
        "attempts": 1, "created_s": 1.0, "finished_s": 2.0, "platform": "stm32f405",
        "schema_version": 2, "document": json.dumps(document),
    }  # fmt: skip
    names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
    with sqlite3.connect(archive_url.removeprefix("sqlite:///")) as database:
        database.execute(f"INSERT INTO jobs ({names}) VALUES ({marks})", tuple(row.values()))
    database.close()

    with Archive(archive_url) as archive:
        assert archive.find(Query()) == [make_view()]
        baseline = SavedBaseline(name="b", selection="job1", user="ada", saved_s=3.0, n_jobs=1)
        archive.save_baseline(baseline, ["job1"])
        assert archive.baselines() == [baseline]
        assert archive.find(Query(baseline="b")) == [make_view()]
