"""The embedded Redis: found, shared, persistent, private."""

from __future__ import annotations

import socket
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from edgeprof.shared.errors import StoreRefused, StoreUnavailable, UsageError
from edgeprof.shared.redis import server as redis_server
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.job_values import NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.job import JobSpec, JobState


@pytest.fixture
def embedded(settings: Settings) -> Iterator[Settings]:
    """Settings without a URL; whatever they start is stopped."""
    own = settings.model_copy(update={"redis_url": None})
    yield own
    redis_server.stop(own)


def test_jobs_survive_a_restart(embedded: Settings, make_spec: Callable[..., JobSpec]) -> None:
    """Stop the embedded server, start it again: the queued job is there."""
    job = NewJob(make_spec())
    first = LabStore.open(embedded)
    first.jobs.submit([job], "test")
    first.close()

    assert redis_server.stop(embedded)
    second = LabStore.open(embedded)

    assert second.jobs.state(job.id) == JobState.QUEUED
    second.close()


def test_commands_of_a_data_folder_share_one_server(embedded: Settings) -> None:
    """One server is started, however many commands of a data folder need it at once."""
    with ThreadPoolExecutor(4) as pool:
        endpoints = list(pool.map(redis_server.locate, [embedded] * 4))

    assert len({endpoint.url for endpoint in endpoints}) == 1
    assert sum(endpoint.started for endpoint in endpoints) == 1


def test_password_is_for_the_owner_only(embedded: Settings) -> None:
    """Files that hold the password are not readable by others, and the server demands it."""
    endpoint = redis_server.locate(embedded)
    for name in ("server.json", "redis.conf"):
        mode = (embedded.data_dir / "redis" / name).stat().st_mode
        assert stat.S_IMODE(mode) == 0o600

    without = "redis://" + endpoint.url.rpartition("@")[2]
    with pytest.raises(StoreRefused):
        LabStore.open(embedded.model_copy(update={"redis_url": without}))


def test_stop_without_a_server_says_so(embedded: Settings) -> None:
    """Stopping what does not run is no error."""
    assert not redis_server.stop(embedded)


def test_refused_connection_names_the_url_without_password(settings: Settings) -> None:
    """A Redis that is not there: StoreUnavailable, one line, password masked."""
    url = "redis://me:secret@127.0.0.1:1/0"
    with pytest.raises(StoreUnavailable) as caught:
        LabStore.open(settings.model_copy(update={"redis_url": url}))

    assert "redis://me:***@127.0.0.1:1/0" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_password_is_refused_and_masked(embedded: Settings) -> None:
    """A wrong password: StoreRefused, and the password is not in the message."""
    port = redis_server.locate(embedded).url.rpartition(":")[2]
    url = f"redis://:wrong-secret@127.0.0.1:{port}"
    with pytest.raises(StoreRefused) as caught:
        LabStore.open(embedded.model_copy(update={"redis_url": url}))

    assert "wrong-secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://localhost", "nonsense", "redis://host:port"])
def test_wrong_url_is_a_usage_error(settings: Settings, url: str) -> None:
    """A URL that is not Redis' is a usage error that says so."""
    with pytest.raises(UsageError, match="not a Redis URL"):
        LabStore.open(settings.model_copy(update={"redis_url": url}))


def test_something_else_that_answers_is_refused(settings: Settings) -> None:
    """A server that speaks, but not Redis: StoreRefused, not a traceback."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(1024)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    thread = threading.Thread(target=answer)
    thread.start()
    url = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
    try:
        with pytest.raises((StoreRefused, StoreUnavailable), match=r"127\.0\.0\.1"):
            LabStore.open(settings.model_copy(update={"redis_url": url}))
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
