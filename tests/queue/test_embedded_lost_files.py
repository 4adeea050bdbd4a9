"""Files that are deleted or moved away under a living embedded Redis cost no job whose id was
told."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeprof.shared.redis import server as redis_server
from edgeprof.shared.redis.embedded import owner
from edgeprof.shared.store.job_values import NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.job import JobSpec, JobState
from tests.support.embedded_redis import Embedded, refusal

MakeSpec = Callable[..., JobSpec]


def submit(store: LabStore, spec: JobSpec) -> str:
    job = NewJob(spec)
    store.jobs.submit([job], "test")
    return job.id


def delete(folder: Path) -> None:
    shutil.rmtree(folder)


def move_away(folder: Path) -> None:
    folder.rename(folder.parent.parent / "away")


def restore_a_copy(folder: Path) -> None:
    subprocess.run(["cp", "-r", folder, folder.with_name("copy")], check=True)
    shutil.rmtree(folder)
    folder.with_name("copy").rename(folder)


@pytest.mark.parametrize("harm", [delete, move_away, restore_a_copy])
def test_what_was_submitted_survives_the_loss_of_the_file(
    embedded: Embedded, make_spec: MakeSpec, harm: Callable[[Path], None]
) -> None:
    """Jobs outlive the loss of the server's file, for old and new clients: the server writes its
    memory anew."""
    embedded.start()
    with LabStore.open(embedded.settings) as store:
        before = submit(store, make_spec())
        harm(embedded.folder / "appendonlydir")
        after = submit(store, make_spec())
    embedded.kill()

    with LabStore.open(embedded.settings) as store:
        assert store.jobs.state(before) is store.jobs.state(after) is JobState.QUEUED


def test_stop_writes_a_lost_file_anew(embedded: Embedded, make_spec: MakeSpec) -> None:
    """Stopping is no way to lose what is only in memory."""
    embedded.start()
    with LabStore.open(embedded.settings) as store:
        job = submit(store, make_spec())
    shutil.rmtree(embedded.folder / "appendonlydir")

    redis_server.stop(embedded.settings)

    with LabStore.open(embedded.settings) as store:
        assert store.jobs.state(job) is JobState.QUEUED


@pytest.mark.parametrize("made_anew", [False, True])
def test_server_whose_folder_was_deleted_is_there(embedded: Embedded, made_anew: bool) -> None:
    """No second server starts beside it; who knew it learns that nothing new is promised."""
    pid = embedded.start()
    with LabStore.open(embedded.settings) as knew_it:
        shutil.rmtree(embedded.folder.parent if made_anew else embedded.folder)

        assert "was deleted under it" in str(refusal(embedded))
        found = owner.owner(embedded.folder)
        assert found is not None
        assert found.pid == pid
        assert knew_it.script.redis.ping()

    assert redis_server.stop(embedded.settings)
    assert embedded.start() != pid
