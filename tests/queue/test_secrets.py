"""Passwords are where they have to be, and in nothing that is printed, logged, served, traced or
listed."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeprof.shared.redis.server import locate
from edgeprof.shared.settings import Settings

pytestmark = pytest.mark.e2e

EDGEPROF = (sys.executable, "-m", "edgeprof.cli")
NOBODY = "127.0.0.1:1"


class Watched:
    """Runs commands of one lab and keeps everything they let out."""

    def __init__(self, folder: Path, settings: Settings, url: str, otel: str) -> None:
        self.folder = folder
        self._log = folder / "output.txt"
        self._children: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **os.environ,
            **settings.as_environment(),
            "EDGEPROF_REDIS_URL": url,
            "EDGEPROF_LOG_LEVEL": "DEBUG",
            "OTEL_EXPORTER_OTLP_ENDPOINT": otel,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as out:
            child = subprocess.Popen(
                [*EDGEPROF, *arguments],
                env=self._environment | variables,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        self._children.append(child)
        return child

    def run(self, *arguments: str, **variables: str) -> int:
        return self.start(*arguments, **variables).wait(60)

    def stop(self) -> None:
        for child in self._children:
            child.terminate()
        for child in self._children:
            child.wait(30)

    def output(self) -> str:
        return self._log.read_text()

    def everything(self) -> Iterator[tuple[str, bytes]]:
        """Output and logs, by name."""
        yield "output", self._log.read_bytes()
        for path in self.folder.rglob("*.jsonl"):
            yield path.name, path.read_bytes()


def listed() -> bytes:
    """What any user of this machine can list: the arguments of all processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:
            continue  # it has ended
    return b"\n".join(found)


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as reply:
        body: bytes = reply.read()
        return body


@pytest.fixture
def lab(
    tmp_path: Path,
    settings: Settings,
    make_redis: Callable[..., Any],
    open_collector: Callable[[], Any],
) -> Iterator[tuple[Watched, Any, Any, str, Callable[[str], str]]]:
    """A lab whose Redis wants a password: (commands, Redis, collector, password, url with a
    password)."""
    password = secrets.token_hex(12)
    redis = make_redis("--requirepass", password)
    redis.start()

    def url(word: str) -> str:
        return f"redis://:{word}@127.0.0.1:{redis.port}/0"

    with open_collector() as collector:
        watched = Watched(tmp_path, settings, url(password), collector.url)
        yield watched, redis, collector, password, url
        watched.stop()


def test_a_working_and_a_failing_lab_tell_no_password(
    lab: Any, free_port: Callable[[], int], wait_until: Callable[..., None]
) -> None:
    """Everything that scheduler, agent, workers, Flower and commands let out, searched for it."""
    watched, redis, collector, password, url = lab
    archive = f"postgresql+psycopg://edgeprof:{password}@{NOBODY}/db?password={password}"
    port = free_port()
    watched.start("scheduler", EDGEPROF_SCHEDULER_PORT=str(port), EDGEPROF_ALERTS_TOKEN=password)
    watched.start("worker", "--board", "native://?uid=01", "--board", "native://?uid=02")
    login = f"flower:{password}"
    watched.start("flower", "--port", str(free_port()), EDGEPROF_FLOWER_BASIC_AUTH=login)
    seen: list[tuple[str, bytes]] = []

    submit = ("submit", "-m", "shakespeare-240k", "-p", "4", "-n", "4", "-r", "1", "--json")
    wait_until(
        lambda: watched.run(*submit, "--platform", "native") == 0,
        "a job was measured",
        timeout_s=60,
    )
    for command in (("jobs",), ("boards",), ("results",)):
        assert watched.run(*command, "--json") == 0
    seen.append(("processes", listed()))
    for page in ("metrics", "health", "targets/device-metrics", "nonsense"):
        try:
            seen.append((page, fetch(f"http://127.0.0.1:{port}/{page}")))
        except urllib.error.HTTPError as error:
            with error:
                seen.append((page, error.read()))
    agents = re.findall(r"http://\S+/metrics", watched.output())
    seen += [(address, fetch(address)) for address in agents if str(port) not in address]

    # Now everything that can be wrong: password, server, archive, URL; and Redis goes away.
    assert watched.run("jobs", EDGEPROF_REDIS_URL=url(f"{password}x")) == 3
    assert watched.run("jobs", EDGEPROF_REDIS_URL=f"redis://:{password}@{NOBODY}/0") == 3
    assert watched.run("jobs", EDGEPROF_REDIS_URL=f"redis://:{password}#@{NOBODY}/0") == 2
    assert watched.run("jobs", EDGEPROF_REDIS_URL=f"redis:{password}@{NOBODY}") == 2
    assert watched.run("jobs", EDGEPROF_ALERTS_TOKEN=f"{password} and more") == 2
    assert watched.run("results", EDGEPROF_ARCHIVE_URL=archive) in {2, 3}
    assert watched.run("results", EDGEPROF_ARCHIVE_URL=archive.replace(":1/", ":x/")) == 2
    assert watched.run("results", EDGEPROF_ARCHIVE_URL=f"postgresql//{password}@h") == 2
    redis.stop()
    wait_until(
        lambda: "cannot be reached" in watched.output(), "the lab has noticed that Redis is gone"
    )
    assert watched.run(*submit, "--platform", "native") == 3
    redis.start()
    wait_until(
        lambda: watched.run(*submit, "--platform", "native") == 0, "all is well again", timeout_s=60
    )
    seen.append(("processes", listed()))
    watched.stop()

    seen += watched.everything()
    seen += [("span", repr(span).encode()) for span in collector.spans]
    assert len(seen) > 20
    assert agents
    assert b"refused the login" in dict(seen)["output"]
    assert [name for name, content in seen if password.encode() in content] == []


def test_a_password_is_no_argument(lab: Any) -> None:
    """A URL with one is refused as an option, without being repeated."""
    watched, _, _, password, url = lab

    assert watched.run("worker", "--board", "native://", "--redis-url", url(password)) == 2
    assert "EDGEPROF_REDIS_URL" in watched.output()
    assert password not in watched.output()


def test_the_embedded_server_hides_its_password(settings: Settings) -> None:
    """The embedded server's password is in files that only their owner can read, and in no
    argument."""
    from edgeprof.shared.redis import server as redis_server

    own = settings.model_copy(update={"redis_url": None})
    try:
        password = locate(own).url.split(":")[2].split("@")[0]
        folder = own.data_dir / "redis"
        files = [path for path in folder.rglob("*") if path.is_file()]
        holding = [path for path in files if password.encode() in path.read_bytes()]

        assert {path.name for path in holding} == {"redis.conf", "server.json"}
        assert {path.stat().st_mode & 0o777 for path in holding} == {0o600}
        assert folder.stat().st_mode & 0o077 == 0
        assert password.encode() not in listed()
    finally:
        redis_server.stop(own)
