"""The Redis users that deploy/redis/users.acl ships: each can do its work, and nothing else's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from edgeprof.scheduler.lab import Lab
from edgeprof.shared.errors import StoreRefused
from edgeprof.shared.jobs import BoardState, JobState
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.jobs import Claim, NewJob
from edgeprof.shared.store.lab import LabStore

ROOT = Path(__file__).parents[2]
ROLES = ("client", "worker", "scheduler")
AGENT = "import typer; from edgeprof.workers.cli import worker; typer.run(worker)"


class Users:
    """A Redis with the shipped users; the passwords are the users' names."""

    def __init__(self, folder: Path, make_redis: Callable[..., Any]) -> None:
        shipped = (ROOT / "deploy/redis/users.acl").read_text()
        acl = re.sub(r"(user (\w+) on >)CHANGE_ME", r"\1\2", shipped)
        assert "CHANGE_ME" not in acl
        # For the test to see what was refused; it leaves the others as they are.
        path = folder / "users.acl"
        path.write_text("user root on >root ~* &* +@all\n" + acl)
        self._redis = make_redis("--aclfile", str(path))
        self._redis.start()

    def url(self, user: str) -> str:
        return str(self._redis.url.replace("//", f"//{user}:{user}@"))

    def connect(self, user: str) -> Redis:
        return Redis.from_url(self.url(user))

    def refused(self) -> list[tuple[str, str, str]]:
        """Return what was refused: user, reason, command or key."""
        with self.connect("root") as redis:
            log = redis.acl_log()
        return [(entry["username"], entry["reason"], entry["object"]) for entry in log]


@pytest.fixture
def users(tmp_path: Path, make_redis: Callable[..., Any]) -> Users:
    return Users(tmp_path, make_redis)


@pytest.fixture
def stores(users: Users, settings: Settings) -> Iterator[dict[str, LabStore]]:
    opened = {role: LabStore.open(_as(settings, users, role)) for role in ROLES}
    yield opened
    for store in opened.values():
        store.close()


def _as(settings: Settings, users: Users, role: str) -> Settings:
    return settings.model_copy(update={"redis_url": users.url(role)})


@pytest.mark.e2e
def test_every_role_can_do_its_work(
    users: Users, settings: Settings, rig: Any, wait_until: Any
) -> None:
    """Submit, measure on real firmware, retry, cancel, quarantine: Redis refuses nothing of it."""
    rig.settings = _as(settings, users, "scheduler")
    rig.start_scheduler()
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT, "--board", "native://?uid=0011"],
        env={**os.environ, **_as(settings, users, "worker").as_environment()},
    )
    rig.adopt(agent)
    with Lab(settings=_as(settings, users, "client")) as lab, LabStore.open(rig.settings) as boss:
        wait_until(lambda: [b for b in lab.boards() if b.state is BoardState.ONLINE], "a board")
        wishes = {"platform": "native", "n_prompt": 4, "n_gen": 4, "repetitions": 1}
        done = lab.submit("shakespeare-240k", **wishes)
        assert done.wait(timeout=60).state is JobState.SUCCEEDED
        assert lab.retry(done.id).wait(timeout=60).state is JobState.SUCCEEDED
        long = lab.submit("shakespeare-240k", **wishes | {"repetitions": 1000, "n_gen": 200})
        rig.until_running(long)
        waiting = lab.submit("shakespeare-240k", **wishes)
        waiting.cancel()
        long.cancel()
        assert long.wait(timeout=60).state is JobState.CANCELLED
        assert waiting.status is JobState.CANCELLED
        boss.boards.hold("native-0011", BoardState.QUARANTINED, "test", "faults")
        wait_until(
            lambda: boss.boards.history("native-0011")[-1].actor == "self-test", "a self-test"
        )
        agent.terminate()
        assert agent.wait(30) == 0

    assert users.refused() == []


def test_client_cannot_pretend_to_be_a_worker(
    stores: dict[str, LabStore], make_spec: Any, result: Any
) -> None:
    """It takes no lease, finishes no attempt, and announces and holds no board."""
    job = NewJob(make_spec())
    stores["client"].jobs.submit([job], "test")
    board: Any = {"device_id": "b", "platform": "null", "host": "h", "domain": "d", "lease_s": 60}

    with pytest.raises(StoreRefused, match="does not let this user"):
        stores["client"].jobs.claim(job.id, "me", **board)
    held = stores["worker"].jobs.claim(job.id, "w", **board)
    assert isinstance(held, Claim)
    for forged in (
        lambda jobs: jobs.renew(job.id, held.epoch, 60),
        lambda jobs: jobs.succeed(job.id, held.epoch, result),
        lambda jobs: jobs.abandon("b", "d", "me"),
    ):
        with pytest.raises(StoreRefused, match="does not let this user"):
            forged(stores["client"].jobs)
    with pytest.raises(StoreRefused, match="does not let this user"):
        stores["client"].boards.next_epoch()

    assert stores["client"].jobs.state(job.id) is JobState.RUNNING


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("client", "SET edgeprof:work:j:result {}"),
        ("client", "RPUSH edgeprof:work:j:attempts {}"),
        ("client", "BRPOP edgeprof:bell:platform.null 1"),
        ("client", "HSET edgeprof:boards b {}"),
        ("client", "HSET edgeprof:boards:held b {}"),
        ("client", "HDEL edgeprof:holding b"),
        ("client", "SET edgeprof:epoch 0"),
        ("worker", "SET edgeprof:blob:0 x"),
        ("worker", "DEL edgeprof:custodian"),
        ("worker", "ZADD edgeprof:prunable 0 j"),
        ("scheduler", "SET other:key x"),
        *[
            (user, command)
            for user in ROLES
            for command in (
                "FLUSHALL",
                "CONFIG GET *",
                "ACL LIST",
                "KEYS *",
                "SHUTDOWN",
                "REPLICAOF h 1",
                "GET other:key",
            )
        ],
    ],
)
def test_what_is_not_a_roles_own_is_refused(users: Users, user: str, command: str) -> None:
    """By Redis itself, whatever program speaks."""
    with users.connect(user) as redis, pytest.raises(NoPermissionError):
        redis.execute_command(*command.split())


def test_nobody_comes_in_without_a_name(users: Users) -> None:
    """The default user is off."""
    with pytest.raises(StoreRefused, match="login"):
        LabStore.open(Settings(redis_url=users.url("").replace(":@", "")))
