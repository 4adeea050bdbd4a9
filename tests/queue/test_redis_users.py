"""The Redis users that deploy/redis/users.acl ships: each can do its work, and nothing else's.

It is long because it holds the table of commands that no role may give.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError, NoPermissionError, ResponseError  # noqa: A004

from edgeprof.client import JobOptions, Lab
from edgeprof.client.notify import Wish
from edgeprof.shared.errors import StoreRefused
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.job_values import Claim, NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.store.search import JobFilter, JobSearch
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobSpec, JobState
from edgeprof.shared.types.notification import Asked, Subject, SubjectKind
from edgeprof.shared.types.schedule import Outcome
from tests.support.null_lab import Rig

ROOT = Path(__file__).parents[2]
ROLES = ("client", "worker", "scheduler")
#: With these one login would stop the lab, read what is none of its business, or leave something
#: behind for ever.
NOBODYS = {
    *(
        "flushall",
        "flushdb",
        "swapdb",
        "config|set",
        "config|get",
        "acl|setuser",
        "acl|list",
        "debug",
    ),
    *(
        "shutdown",
        "replicaof",
        "slaveof",
        "failover",
        "monitor",
        "migrate",
        "restore",
        "dump",
        "save",
    ),
    *("bgsave", "bgrewriteaof", "client|kill", "client|pause", "client|list", "client|no-evict"),
    *(
        "function|load",
        "function|flush",
        "function|delete",
        "function|restore",
        "fcall",
        "script|flush",
    ),
    *("script|kill", "keys", "scan", "randomkey", "dbsize", "sort", "object|freq", "slowlog|get"),
    *("module|load", "cluster|reset", "latency|reset", "memory|purge", "wait", "psync", "sync"),
    *("rename", "move", "copy", "persist", "setrange", "append", "xtrim", "xsetid", "spublish"),
}
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
        # A script that never ends is told of after this time, not after Redis' own five seconds.
        self._redis = make_redis("--aclfile", str(path), "--lua-time-limit", "200")
        self._redis.start()

    def url(self, user: str) -> str:
        return str(self._redis.url.replace("//", f"//{user}:{user}@"))

    def connect(self, user: str) -> Redis:
        return Redis.from_url(self.url(user), socket_timeout=60)

    def allowed(self, user: str) -> set[str]:
        """Return the commands that Redis lets a user run, as it says itself."""
        found = set()
        with self.connect("root") as redis:
            known = {name.decode() for name in redis.execute_command("COMMAND LIST")}
            # A container of subcommands is none itself.
            for name in known - {name.partition("|")[0] for name in known if "|" in name}:
                # "COMMAND INFO", but for the space: redis-py would fail to parse the answer.
                ((_, arity, *_),) = redis.execute_command("COMMAND INFO ", name)
                words = name.split("|")
                words += ["x"] * (
                    abs(arity) - len(words)
                )  # Redis looks at no call that is too short
                answer = redis.execute_command("ACL DRYRUN", user, *words)
                if b"permissions to run" not in answer:
                    found.add(name)
        return found

    def until(self, attempt: Callable[[], Any], timeout_s: float = 20) -> Any:
        """Repeat an attempt until Redis answers it with something."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(ResponseError):
                if answer := attempt():
                    return answer
            assert time.monotonic() < deadline_s
            time.sleep(0.05)

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
    users: Users,
    settings: Settings,
    rig: Rig,
    tmp_path: Path,
    wait_until: Callable[..., None],
) -> None:
    """Submit, measure on real firmware, retry, cancel, reserve, quarantine, run a schedule: Redis
    refuses nothing of it."""
    rig.settings = _as(settings, users, "scheduler")
    rig.start_scheduler()
    boards = tmp_path / "boards.toml"
    boards.write_text('[[board]]\nurl = "native://?uid=0011"\ntags = ["lab=here"]\n')
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT, "--boards", str(boards)],
        env={**os.environ, **_as(settings, users, "worker").as_environment()},
    )
    rig.adopt(agent)
    with Lab(settings=_as(settings, users, "client")) as lab, LabStore.open(rig.settings) as boss:
        wait_until(lambda: [b for b in lab.boards() if b.state is BoardState.ONLINE], "a board")
        options: JobOptions = {"platform": "native", "n_prompt": 4, "n_gen": 4, "repetitions": 1}
        options["require"] = {"lab": "here"}
        done = lab.submit("shakespeare-240k", **options)
        assert done.wait(timeout=60).state is JobState.SUCCEEDED
        assert lab.retry(done.id).wait(timeout=60).state is JobState.SUCCEEDED
        long = lab.submit("shakespeare-240k", **options | {"repetitions": 1000, "n_gen": 200})
        rig.until_running(long)
        waiting = lab.submit("shakespeare-240k", **options)
        waiting.cancel()
        long.cancel()
        assert long.wait(timeout=60).state is JobState.CANCELLED
        lab.reserve("native-0011", 60)
        lab.release("native-0011")
        assert waiting.status is JobState.CANCELLED
        file = settings.data_dir / "night.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('model="shakespeare-240k"\nplatform="native"\nn_gen=1\nscore=false\n')
        lab.schedules.add(file, "0 2 * * *")
        lab.schedules.run("night")
        wait_until(lambda: lab.schedules.get("night").runs, "the scheduler ends the run")
        assert lab.schedules.get("night").runs[0].outcome is Outcome.SUCCEEDED
        lab.schedules.pause("night")
        lab.schedules.resume("night")
        lab.schedules.remove("night")
        boss.boards.cordon("native-0011", BoardState.QUARANTINED, "test", "faults")
        wait_until(
            lambda: boss.boards.history("native-0011")[-1].actor == "self-test", "a self-test"
        )
        agent.terminate()
        assert agent.wait(30) == 0

    assert users.refused() == []


def test_client_cannot_pretend_to_be_a_worker(
    stores: dict[str, LabStore], make_spec: Callable[..., JobSpec], result: Any
) -> None:
    """A client takes no lease, finishes no attempt, and announces and cordons no board."""
    job = NewJob(make_spec())
    stores["client"].jobs.submit([job], "test")
    board: Any = {
        "device_id": "b",
        "platform": "null",
        "host": "h",
        "lock_domain": "d",
        "lease_s": 60,
    }

    with pytest.raises(StoreRefused, match="does not let this user"):
        stores["client"].jobs.claim(job.id, "me", **board)
    held = stores["worker"].jobs.claim(job.id, "w", **board)
    assert isinstance(held, Claim)
    for forged in (
        lambda jobs: jobs.renew(job.id, held.epoch, 60),
        lambda jobs: jobs.succeed(job.id, held.epoch, result),
        lambda jobs: jobs.reclaim("b", "d", "me"),
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
        ("client", "BRPOP edgeprof:doorbell:platform.null 1"),
        ("client", "SET edgeprof:doorbell:_kombu.binding.celery.pidbox x"),
        ("client", "PUBLISH edgeprof:doorbell:/0.celery.pidbox x"),
        ("client", "HSET edgeprof:boards b {}"),
        ("client", "HSET edgeprof:boards:cordoned b {}"),
        ("client", "HSET edgeprof:hosts:cordoned h {}"),
        ("client", "HDEL edgeprof:running_on b"),
        ("client", "SET edgeprof:epoch 0"),
        ("client", "GET edgeprof-notify:asked:n"),
        ("client", "HGETALL edgeprof-notify:message:m"),
        ("worker", "GET edgeprof-notify:asked:n"),
        ("worker", "SET edgeprof:blob:0 x"),
        ("worker", "HSET edgeprof:schedules n {}"),
        ("worker", "DEL edgeprof:custodian"),
        ("worker", "ZADD edgeprof:prunable 0 j"),
        ("worker", "ZADD edgeprof:unreadable 0 j"),
        ("scheduler", "SET other:key x"),
        ("rescue", "GET edgeprof:epoch"),
        *[(user, "GET other:key") for user in ROLES],
    ],
)
def test_what_is_not_a_roles_own_is_refused(users: Users, user: str, command: str) -> None:
    """Redis itself refuses what a role does not have, whatever program asks."""
    with users.connect(user) as redis, pytest.raises(NoPermissionError):
        redis.execute_command(*command.split())


def test_each_role_has_the_commands_that_are_named_and_no_other(users: Users) -> None:
    """Tried one by one over all that this Redis knows; none of a role's is one that nobody may
    have."""
    for line in (ROOT / "deploy/redis/users.acl").read_text().splitlines()[1:]:
        user, *rules = line.split()[1:]
        named = {rule[1:] for rule in rules if rule[0] == "+"}
        withdrawn = {rule[1:] for rule in rules if rule[0] == "-"}
        allowed = users.allowed(user)

        assert not any(rule.startswith("@") for rule in named), user
        more = {c for c in allowed if c not in named and c.partition("|")[0] not in named}
        assert more <= {"reset"}  # for which Redis asks no rights
        assert allowed & withdrawn == set()
        if user != "rescue":
            assert allowed & NOBODYS == set()


def test_documentation_names_every_role(users: Users) -> None:
    """docs/explanation/security.md tells what each may do; a role it does not know is a hole nobody
    looks at."""
    text = (ROOT / "docs/explanation/security.md").read_text()
    for line in (ROOT / "deploy/redis/users.acl").read_text().splitlines()[1:]:
        assert f"| `{line.split()[1]}` |" in text


def test_looping_script_is_ended_by_the_rescue_login(users: Users) -> None:
    """One client can hang Redis by a script that never ends; who has the rescue login ends it,
    without a restart while it has written nothing, and by a shutdown once it has."""
    with (
        users.connect("client") as client,
        users.connect("rescue") as rescue,
        ThreadPoolExecutor(1) as pool,
    ):
        looping = pool.submit(client.eval, "while true do end", 0)
        assert users.until(lambda: rescue.execute_command("SCRIPT", "KILL"))
        with pytest.raises(ResponseError, match="killed"):
            looping.result(10)
        writing = "redis.call('SET', KEYS[1], 'x') while true do end"
        looping = pool.submit(client.eval, writing, 1, "edgeprof:blob:x")
        users.until(lambda: _is_unkillable(rescue))
        with contextlib.suppress(ConnectionError):
            rescue.execute_command("SHUTDOWN", "NOSAVE", "FORCE")
        with pytest.raises(ConnectionError):
            looping.result(30)


def _is_unkillable(rescue: Redis) -> bool:
    try:
        rescue.execute_command("SCRIPT", "KILL")
    except ResponseError as error:
        return "UNKILLABLE" in str(error)
    return False


def test_nobody_comes_in_without_a_name(users: Users) -> None:
    """The default user is off."""
    with pytest.raises(StoreRefused, match="login"):
        LabStore.open(Settings(redis_url=users.url("").replace(":@", "")))


def test_clients_ask_for_notifications_that_only_the_scheduler_reads(
    users: Users, stores: dict[str, LabStore]
) -> None:
    """A webhook's address is a secret of the user who named it."""
    subject = Subject(kind=SubjectKind.SWEEP, name="night")
    wish = Wish.of(["https://hooks.example.org/SECRET"])
    wish.ask(stores["client"], subject, ["gone"], "ann")
    wish.ask(stores["client"], subject, ["gone"], "ann")
    notes = stores["scheduler"].notifications
    _, (ended,) = notes.ended(0)
    asked = Asked.read(ended.asked)
    (notice,) = stores["client"].notifications.notices(subject.key)
    notes.settle(ended, asked, "{}", 1.0, notice)
    (message,) = notes.due(2.0)
    notes.tried(message, 3.0, subject, notice)
    notes.tried(message, None, subject, notice)

    assert asked.address == "https://hooks.example.org/SECRET"
    assert users.refused() == []


def test_every_role_may_look_for_jobs_and_cancel_them(
    stores: dict[str, LabStore], make_spec: Callable[..., JobSpec]
) -> None:
    """Pages of a list that changes meanwhile take more commands than one look does."""
    for store in stores.values():
        job = NewJob(make_spec(user="ann"))
        stores["client"].jobs.submit([job], "test")
        search = JobSearch(store.script)

        assert search.newest("jobs", JobFilter(user="ann"), 1000)[0] == job.id
        assert search.cancel_open(JobFilter(user="ann"), "ann", "enough").cancelled == 1
