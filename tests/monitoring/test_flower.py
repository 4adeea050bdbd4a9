"""`edgeprof flower`: a login wherever others could reach it."""

from __future__ import annotations

import base64
import os
import re
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edgeprof.shared.settings import Settings
from monitoring.lab.lab import Ports
from tests.support.redis_process import RedisProcess

pytestmark = pytest.mark.e2e

COMMAND = [sys.executable, "-m", "edgeprof.cli", "flower"]


def status(url: str, login: str | None = None) -> int:
    request = urllib.request.Request(url)
    if login is not None:
        encoded = base64.b64encode(login.encode()).decode()
        request.add_header("Authorization", f"Basic {encoded}")
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


@pytest.fixture
def start(settings: Settings, wait_until: Callable[..., None]) -> Iterator[Callable[..., str]]:
    """`start(prefix="", **environment)` runs Flower on loopback, and returns its URL."""
    processes = []

    def run(prefix: str = "", **environment: str) -> str:
        port = Ports.free().flower
        process = subprocess.Popen(
            [*COMMAND, "--port", str(port)],
            env={**os.environ, **settings.as_environment(), **environment},
            stderr=subprocess.DEVNULL,
        )
        processes.append(process)
        url = f"http://127.0.0.1:{port}{prefix}"
        wait_until(lambda: status(f"{url}/healthcheck") == 200, "Flower answers")
        return url

    yield run
    for process in processes:
        process.terminate()
        process.wait()


def test_open_to_the_network_needs_a_login(settings: Settings) -> None:
    """Flower on the network without a login is refused with exit code 2 and the variable to set."""
    done = subprocess.run(
        [*COMMAND, "--address", "0.0.0.0"],
        check=False,
        env={**os.environ, **settings.as_environment()},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 2
    assert "EDGEPROF_FLOWER_BASIC_AUTH=user:password" in done.stderr


def test_stopping_waits_for_no_stalled_redis(
    settings: Settings, redis_process: RedisProcess, wait_until: Callable[..., None]
) -> None:
    """Flower's own threads wait for an answer; whoever stops it does not wait for them."""
    redis_process.start()
    port = Ports.free().flower
    own = settings.model_copy(update={"redis_url": redis_process.url})
    process = subprocess.Popen(
        [*COMMAND, "--port", str(port)],
        env={**os.environ, **own.as_environment()},
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: status(f"http://127.0.0.1:{port}/healthcheck") == 200, "Flower answers")
        with redis_process.connect() as redis:
            pid = int(redis.info("server")["process_id"])
        os.kill(pid, signal.SIGSTOP)
        status(f"http://127.0.0.1:{port}/workers?refresh=1")
        process.terminate()
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()


def test_login_is_asked_for(start: Callable[..., Any]) -> None:
    """Nothing of the lab is shown without it."""
    url = start(EDGEPROF_FLOWER_BASIC_AUTH="ann:secret")

    assert status(f"{url}/workers") == 401
    assert status(f"{url}/workers", "ann:wrong") == 401
    assert status(f"{url}/workers", "ann:secret") == 200


def test_loopback_needs_none(start: Callable[..., Any], settings: Settings) -> None:
    """Flower on loopback needs no login, since its clients can read Redis as well; what it saw is
    kept."""
    url = start()

    assert status(f"{url}/workers") == 200
    assert (settings.data_dir / "flower").is_dir()


#: Pages, the API, its health, metrics, static files, what is not there.
PATHS = [
    "/",
    "/workers",
    "/api/workers",
    "/healthcheck",
    "/metrics",
    "/static/css/flower.css",
    "/x",
]


def asked(url: str, **headers: str) -> tuple[int, str, str | None]:
    """Return status, text and who may read the answer; they are the same for each method."""
    answers, said = set(), ""
    for method in ("GET", "POST", "OPTIONS", "HEAD"):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(url, method=method, headers=named)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=30)
        with refused.value as reply:
            said = said or reply.read().decode()
            answers.add((reply.code, reply.headers["Access-Control-Allow-Origin"]))
    ((code, readers),) = answers
    return code, said, readers


@pytest.mark.parametrize("login", ["", "ann:secret"])
def test_no_other_name_and_no_other_site_gets_in(start: Callable[..., Any], login: str) -> None:
    """A page of another site can neither read from Flower nor post to it, with a login or
    without."""
    url = start(EDGEPROF_FLOWER_BASIC_AUTH=login)
    for path in PATHS:
        code, said, readers = asked(f"{url}{path}", Host="evil.example:5555")
        assert (code, readers) == (403, None)
        assert "EDGEPROF_HTTP_NAMES" in said
        for foreign in (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Sec_Fetch_Site": "cross-site"},
        ):
            code, said, readers = asked(f"{url}{path}", **foreign)
            assert (code, readers) == (403, None)
            assert "another site" in said


def test_names_of_ours_get_in(start: Callable[..., Any]) -> None:
    """Prometheus asks by the host's name, people by localhost or a name that is added."""
    url = start(EDGEPROF_HTTP_NAMES="lab.example", EDGEPROF_HOST="flower")
    for name in ("localhost", "flower:5555", "lab.example", "127.0.0.1"):
        request = urllib.request.Request(f"{url}/workers", headers={"Host": name})
        with urllib.request.urlopen(request, timeout=30) as reply:
            assert reply.status == 200


def test_its_files_are_its_users(start: Callable[..., Any], settings: Settings) -> None:
    """Flower keeps its files in a folder that only its own user can open."""
    start()
    assert stat.S_IMODE((settings.data_dir / "flower").stat().st_mode) == 0o700


@pytest.mark.parametrize("spelled", ["/lab/flower", "lab/flower", "lab/flower/"])
def test_behind_a_proxy(start: Callable[..., Any], spelled: str) -> None:
    """FLOWER_URL_PREFIX puts all of Flower below a path, and its links lead there, too."""
    url = start(prefix="/lab/flower", FLOWER_URL_PREFIX=spelled)

    with urllib.request.urlopen(f"{url}/workers", timeout=30) as reply:
        page = reply.read().decode()
    links = re.findall(r'(?:href|src)="(/[^"]*)"', page)
    assert links
    assert [link for link in links if not link.startswith("/lab/flower/")] == []
    script = next(link for link in links if link.split("?")[0].endswith(".js"))
    assert status(url.removesuffix("/lab/flower") + script) == 200


def test_it_only_looks(start: Callable[..., Any]) -> None:
    """Revoking would drop a doorbell and leave the job: `edgeprof cancel` is the way."""
    url = start()
    request = urllib.request.Request(f"{url}/api/task/revoke/abc", data=b"")

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    with refused.value as reply:
        assert reply.code in {403, 404, 405}
