"""While an embedded Redis lives, nobody starts a second one on its files; whose folder it is."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from edgeprof.shared.errors import StoreRefused
from edgeprof.shared.redis import server as redis_server
from edgeprof.shared.redis.embedded import files, owner
from edgeprof.shared.settings import Settings
from tests.support.embedded_redis import Embedded, refusal


def test_lock_lives_as_long_as_the_server(embedded: Embedded) -> None:
    """The lock names the server's own process; it is free when that was killed."""
    pid = embedded.start()
    with embedded.client() as redis:
        assert redis.info("server")["process_id"] == pid

    embedded.kill()

    assert embedded.start() != pid


def test_killed_servers_child_blocks_nothing(embedded: Embedded) -> None:
    """The child that rewrites the append-only file outlives its server: the next one starts all the
    same."""
    pid = embedded.start()
    with embedded.client() as redis:
        redis.set("kept", "yes")
        redis.config_set("rdb-key-save-delay", 10_000_000)
        redis.bgrewriteaof()
    children = Path(f"/proc/{pid}/task/{pid}/children")
    embedded.wait_until(children.read_text, "the file is rewritten")
    child = int(children.read_text().split()[0])
    embedded.kill()
    try:
        assert Path(f"/proc/{child}").exists()
        embedded.start()
        with embedded.client() as redis:
            assert redis.get("kept") == b"yes"
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("harm", ["deleted", "damaged", "stale"])
def test_living_server_is_found_without_server_json(embedded: Embedded, harm: str) -> None:
    """A living server is found by its configuration, and server.json is mended."""
    pid = embedded.start()
    told = embedded.folder / "server.json"
    whole = told.read_text()
    if harm == "deleted":
        told.unlink()
    elif harm == "damaged":
        told.write_text('{"port": "x", ')
    else:
        told.write_text(json.dumps({"port": 1, "password": "another", "folder": ""}))

    assert embedded.start() == pid
    assert told.read_text() == whole


def test_living_server_of_which_nothing_is_known_is_told(embedded: Embedded) -> None:
    """A living server whose files are both damaged is reported by pid, and no second one is
    started."""
    pid = embedded.start()
    (embedded.folder / "server.json").write_text("[]")
    (embedded.folder / "redis.conf").write_bytes(b"\xff")

    error = refusal(embedded)

    assert f"pid {pid}" in str(error)
    assert f"kill {pid}" in str(error.hint)
    assert embedded.pid == pid


@pytest.mark.parametrize("lock", ["deleted", "replaced"])
def test_server_without_its_lock_file_is_seen(embedded: Embedded, lock: str) -> None:
    """A server of an older edgeprof holds no lock, and a lock file can be deleted: its folder
    betrays it."""
    pid = embedded.start()
    (embedded.folder / owner.LOCK).unlink()
    if lock == "replaced":
        (embedded.folder / owner.LOCK).touch()

    assert embedded.start() == pid


def test_copied_folder_is_another_lab(embedded: Embedded, tmp_path: Path) -> None:
    """A copy made while the server ran: a server of its own, which the first lab's login does not
    open."""
    endpoint = redis_server.locate(embedded.settings)
    with embedded.client() as redis:
        redis.set("job", "one")
    shutil.copytree(embedded.settings.data_dir, tmp_path / "copy")
    copy = embedded.settings.model_copy(update={"data_dir": tmp_path / "copy"})
    try:
        other = redis_server.locate(copy)
        assert other.started
        assert other.url.split("@")[0] != endpoint.url.split("@")[0]
        with Redis.from_url(other.url) as redis:
            assert redis.get("job") == b"one"
            redis.set("job", "two")
        with embedded.client() as redis:
            assert redis.get("job") == b"one"
    finally:
        redis_server.stop(copy)


def test_port_taken_by_another_program(
    embedded: Embedded, caplog: pytest.LogCaptureFixture
) -> None:
    """The server moves to another port, and whoever must know is told."""
    redis_server.stop(embedded.settings, force=embedded.start() > 0)
    before = files.remembered(embedded.folder)[0]
    with socket.create_server(("127.0.0.1", before.port)):
        with caplog.at_level(logging.WARNING):
            embedded.start()
        after = files.remembered(embedded.folder)[0]

    assert after.port != before.port
    assert after.password == before.password
    assert f"port {before.port} is taken" in caplog.text


def test_password_changed_under_us(embedded: Embedded) -> None:
    """A server that refuses the password we remember is there: it is named, and no second one
    starts."""
    pid = embedded.start()
    with embedded.client() as redis:
        redis.config_set("requirepass", "another")

    error = refusal(embedded)

    assert isinstance(error, StoreRefused)
    assert "refuses the password" in str(error)
    assert embedded.pid == pid


def test_dangling_folder_is_named(embedded: Embedded, tmp_path: Path) -> None:
    """The data folder is a link to a disk that is not mounted: said, and where it points."""
    embedded.settings.data_dir.symlink_to(tmp_path / "not-mounted")

    error = refusal(embedded)

    assert "not-mounted" in str(error)
    assert "symbolic link" in str(error)
    assert not (tmp_path / "not-mounted").exists()


def test_folder_behind_a_link_is_the_same_folder(embedded: Embedded, tmp_path: Path) -> None:
    """Two names of one folder: one server."""
    pid = embedded.start()
    (tmp_path / "alias").symlink_to(embedded.settings.data_dir)
    alias = embedded.settings.model_copy(update={"data_dir": tmp_path / "alias"})

    assert not redis_server.locate(alias).started
    assert embedded.pid == pid


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSPC, errno.EROFS])
def test_file_system_that_refuses(
    embedded: Embedded, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """No locks (NFS), no space, read-only: one line that names the file, never a traceback."""

    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)

    error = refusal(embedded)

    assert os.strerror(number) in str(error)
    assert str(embedded.folder) in str(error)


@pytest.fixture
def shown(embedded: Embedded) -> Iterator[Settings]:
    """A data folder that another user can look at, but for what is private in it."""
    with tempfile.TemporaryDirectory(prefix="edgeprof-shown-") as folder:
        Path(folder).chmod(0o755)
        own = embedded.settings.model_copy(update={"data_dir": Path(folder) / "data"})
        yield own
        redis_server.stop(own, force=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is tried by root only")
def test_folder_of_another_user(shown: Settings) -> None:
    """A second user learns whose folder it is, whether the server runs or not."""
    redis_server.locate(shown)
    code = (
        "import os, pwd; import edgeprof.cli.run, edgeprof.cli.jobs\n"
        "from edgeprof.cli import main\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); main(['jobs'])"
    )
    for _ in range(2):
        said = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **shown.as_environment()},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert said.returncode == 3, said.stderr
        assert "belongs to root" in said.stderr
        redis_server.stop(shown)


@pytest.mark.skipif(os.geteuid() != 0, reason="a pid namespace needs root")
@pytest.mark.parametrize("first", ["host", "container"])
def test_host_and_container_share_one_server(embedded: Embedded, first: str) -> None:
    """A host and a container with a shared folder and network use one server, though each sees
    another pid."""
    inside = [*["unshare", "--pid", "--fork", "--mount-proc"], "sh", "-c", '"$@"; read _', "sh"]
    if first == "host":
        embedded.start()
    with subprocess.Popen(
        [*inside, sys.executable, "-m", "edgeprof.cli", "jobs", "--json"],
        env=embedded.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as container:
        assert container.stdout is not None
        assert container.stdout.readline() == "[]\n"
        assert not redis_server.locate(embedded.settings).started
        assert redis_server.stop(embedded.settings)
        container.communicate("\n")
