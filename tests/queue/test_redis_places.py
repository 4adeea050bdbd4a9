"""Redis behind TLS, behind Sentinels and on a socket: the same lab, and the same promises."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeprof.shared.errors import StoreUnavailable, UsageError
from edgeprof.shared.queue.celery_app import make_app
from edgeprof.shared.redis import url as redis_url
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.job import JobSpec, JobState
from tests.support.null_lab import Rig
from tests.support.redis_process import RedisProcess


@pytest.fixture
def lab_at(rig: Rig) -> Iterator[Callable[[str], Any]]:
    """`lab_at(url)`: a rig whose Redis is there."""
    made: list[Any] = []

    def make(url: str) -> Any:
        made.append(type(rig)(rig.settings.model_copy(update={"redis_url": url}), rig.wait_until))
        return made[-1]

    yield make
    for lab in made:
        lab.close()


def openssl(folder: Path, command: str) -> None:
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A throw-away CA and a server's certificate, for 127.0.0.1 and two days."""
    folder = tmp_path / "tls"
    folder.mkdir()
    key = "-newkey rsa:2048 -nodes"
    usage = (
        "-addext keyUsage=critical,keyCertSign"  # since Python 3.13 a CA must say what it is for
    )
    authority = f"req -x509 {key} -keyout ca.key -out ca.crt -days 2 -subj /CN=throw-away {usage}"
    openssl(folder, authority)
    openssl(folder, f"req {key} -keyout redis.key -out redis.csr -subj /CN=redis")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    openssl(
        folder,
        "x509 -req -in redis.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out redis.crt -days 2"
        " -extfile names",
    )
    return folder


@pytest.fixture
def tls_url(
    certificates: Path, make_redis: Callable[..., RedisProcess], free_port: Callable[[], int]
) -> str:
    """A Redis that also speaks TLS; its certificate is not checked unless the URL names the CA."""
    port = free_port()
    files = {"cert-file": "redis.crt", "key-file": "redis.key", "ca-cert-file": "ca.crt"}
    options = [f"--tls-{name}={certificates / file}" for name, file in files.items()]
    flat = [part for option in options for part in option.split("=", 1)]
    make_redis("--tls-port", str(port), "--tls-auth-clients", "no", *flat).start()
    return f"rediss://127.0.0.1:{port}/0"


@pytest.mark.e2e
def test_lab_over_tls(
    tls_url: str,
    certificates: Path,
    lab_at: Callable[[str], Any],
    make_spec: Callable[..., JobSpec],
) -> None:
    """Store and doorbells both go over it."""
    lab = lab_at(f"{tls_url}?ssl_ca_certs={certificates / 'ca.crt'}")
    lab.start_scheduler()
    lab.start_workers("01")

    assert lab.submit(make_spec()).wait(timeout=30).state is JobState.SUCCEEDED


def test_certificate_of_an_unknown_ca_is_refused(tls_url: str, settings: Settings) -> None:
    """The store refuses a certificate of an unknown CA."""
    with pytest.raises(StoreUnavailable, match="certificate"):
        LabStore.open(settings.model_copy(update={"redis_url": tls_url}))


def test_celery_refuses_it_too(tls_url: str) -> None:
    """kombu takes a bare rediss:// for "verify nothing": a man in the middle would notify our
    doorbells."""
    app = make_app(tls_url)
    with app.connection_for_write() as doorbells, pytest.raises(Exception, match="certificate"):
        doorbells.connect()


@pytest.mark.e2e
def test_failover_loses_no_job(
    make_redis: Callable[..., RedisProcess],
    lab_at: Callable[[str], Any],
    make_spec: Callable[..., JobSpec],
) -> None:
    """The master is killed while a job runs and others wait: each ends once, on the replica."""
    master, replica = make_redis(), make_redis()
    master.start()
    replica.start()
    replica.connect().replicaof("127.0.0.1", master.port)
    lab_url = start_sentinel(make_redis, master.port)
    lab = lab_at(lab_url)
    lab.wait_until(
        lambda: master.connect().info("replication")["slave0"]["state"] == "online",
        "the replica has caught up",
    )
    lab.start_scheduler()
    lab.start_workers("01")
    running, *waiting = [lab.submit(make_spec(n_gen=n_gen)) for n_gen in (100, 1, 1)]
    lab.until_running(running)
    assert (
        master.connect().wait(1, 5000) == 1
    )  # written there, too: replication itself is asynchronous

    master.stop()
    views = [job.wait(timeout=60) for job in (running, *waiting)]

    assert [view.state for view in views] == [JobState.SUCCEEDED] * 3
    assert replica.connect().role()[0] == b"master"


def start_sentinel(make_redis: Callable[..., RedisProcess], master_port: int) -> str:
    """Start one Sentinel, which is quorum enough for a test; returns the lab's URL."""
    sentinel = make_redis(
        sentinel=f"sentinel monitor lab 127.0.0.1 {master_port} 1\n"
        "sentinel down-after-milliseconds lab 500\n"
        "sentinel failover-timeout lab 3000\n"
    )
    sentinel.start()
    return f"redis+sentinel://127.0.0.1:{sentinel.port}/0?master=lab"


@pytest.mark.e2e
def test_lab_on_a_socket(
    make_redis: Callable[..., RedisProcess],
    tmp_path: Path,
    lab_at: Any,
    make_spec: Callable[..., JobSpec],
) -> None:
    """Store and doorbells both find it."""
    make_redis("--unixsocket", str(tmp_path / "s")).start()
    lab = lab_at(f"unix://{tmp_path / 's'}")
    lab.start_workers("01")

    assert lab.submit(make_spec()).wait(timeout=30).state is JobState.SUCCEEDED


@pytest.mark.parametrize(
    ("url", "broker", "options"),
    [
        ("redis://:p@h:1/2", "redis://:p@h:1/2", {}),
        ("rediss://h/0", "rediss://h/0?ssl_cert_reqs=required", {}),
        ("rediss://h/0?ssl_cert_reqs=none", "rediss://h/0?ssl_cert_reqs=none", {}),
        (
            "redis+sentinel://me:p%40@a,b:5/3?master=m",
            "sentinel://me:p%40@a:26379/3;sentinel://me:p%40@b:5/3",
            {"master_name": "m"},
        ),
        ("redis+sentinel://me@a/0?master=m", "sentinel://me:@a:26379/0", {"master_name": "m"}),
    ],
)
def test_celery_is_told_the_same_place(url: str, broker: str, options: dict[str, str]) -> None:
    """Celery is given the same Redis as the store, in kombu's words."""
    assert redis_url.broker(url) == (broker, options)


@pytest.mark.parametrize(
    "url", ["redis+sentinel://h/0", "redis+sentinel:///0?master=m", "http://h"]
)
def test_incomplete_url_is_an_error(url: str) -> None:
    """An incomplete URL is an error that says what is missing."""
    with pytest.raises(UsageError, match=r"names no Sentinels or no master|not a Redis URL"):
        redis_url.broker(url)


@pytest.mark.parametrize("url", ["unix:///run/redis.sock?db=x", "unix://run/redis.sock"])
def test_hint_for_a_socket_is_a_socket_url(url: str) -> None:
    """The number of the database is an option there, not a part of the path."""
    with pytest.raises(UsageError) as refused:
        redis_url.scheme(url)

    assert "unix:///run/redis.sock?db=0" in (refused.value.hint or "")
