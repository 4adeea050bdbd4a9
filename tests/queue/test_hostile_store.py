"""Whatever one login can write into the store costs itself, and no honest job anything."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from edgeprof.scheduler.custodian import Custodian
from edgeprof.scheduler.metrics import CustodianMetrics, LabCollector
from edgeprof.shared.errors import JobError
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import Owner
from edgeprof.shared.store.hosts import HostInfo
from edgeprof.shared.store.job_values import Claim, NewJob, NoClaim
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.board import BoardInfo, BoardState
from edgeprof.shared.types.job import JobSpec, JobState
from edgeprof.shared.types.result import JobView
from tests.support.jobs import make_spec

MakeSpec = Callable[..., JobSpec]

#: Keys below "edgeprof:" that deploy/redis/users.acl lets a client write; {victim} is an honest job queued before.
KEYS = (
    "jobs",
    "jobs:queued",
    "jobs:running",
    "jobs:succeeded",
    "queues",
    "ready:platform.null",
    "order:platform.null",
    "turns:platform.null",
    "deadlines",
    "delayed",
    "unarchived",
    "aside",
    "store",
    "job:ghost",
    "job:{victim}:history",
    "job:{victim}:events",
    "doorbell:platform.null",
    "doorbell:platform.null\x06\x165",
)
#: Keys that only a worker may write besides; "b" is the honest worker's board.
WORKER_KEYS = (
    "work:{victim}:attempts",
    "work:{victim}:result",
    "leases",
    "running_on",
    "last_sign",
    "last_sign:grace",
    "epoch",
    "dead",
    "newer:1:platform.null",
    "newer:2:platform.null",
    "boards",
    "boards:owner",
    "boards:uid",
    "boards:seen",
    "boards:until",
    "boards:cordoned",
    "boards:identify",
    "boards:faults",
    "board:b:history",
    "hosts",
    "hosts:until",
    "hosts:cordoned",
    "hosts:faults",
)
#: Values that no program of ours would write.
VALUES = ("", "x", "-1", "1e308", "nan", "ghost", "\xff", "[[[", "{}", "0" * 300)
#: What makes one key another type, or another content.
WRITES = (
    ("DEL", "SET", "{key}", "{value}"),
    ("DEL", "HSET", "{key}", "{value}", "{value}"),
    ("DEL", "SADD", "{key}", "{value}"),
    ("DEL", "RPUSH", "{key}", "{value}"),
    ("DEL", "ZADD", "{key}", "0", "{value}"),
    ("DEL", "XADD", "{key}", "18446744073709551615-18446744073709551615", "a", "b"),
    ("", "ZADD", "{key}", "-1", "{value}"),
    ("", "ZADD", "{key}", "-inf", "{value}"),
    ("", "ZADD", "{key}", "1e12", "{victim}"),
    ("", "HSET", "{key}", "{value}", "{value}"),
    ("", "HSET", "{key}", "5", "{value}"),
    ("", "HSET", "{key}", "5:ann", "{value}"),
    ("", "SADD", "{key}", "{value}"),
    ("", "RPUSH", "{key}", "{value}"),
)


BOARD = BoardInfo(
    device_id="b",
    platform="null",
    host="h",
    url="null://b",
    uid="null-b",
    state=BoardState.ONLINE,
    emulated=True,
    firmware_version="0",
    firmware_git_hash="",
    toolchain="",
    protocol=(1, 0),
    clock_hz=None,
    timer_name="",
    timer_resolution_ns=1,
    regions=(),
    kernels=(),
    n_ctx_max=1,
    can_flash=False,
    can_upload=False,
)


class Bystander:
    """An honest job queued before an attack, and one after; both are carried out, archived and told about."""

    def __init__(self, store: LabStore, settings: Settings) -> None:
        self.store = store
        self.archived: list[JobView] = []
        self._custodian = Custodian(store, settings, self.archived.extend)
        self._scrape = LabCollector(store, CustodianMetrics(CollectorRegistry()))
        store.script.redis.flushall()
        self.victim = self.submit()

    def submit(self) -> str:
        job = NewJob(make_spec(user="ann"))
        self.store.jobs.submit([job], "test")
        return job.id

    def attack(self, key: str, write: tuple[str, ...], value: str) -> None:
        """Write as a program that speaks Redis; what Redis refuses by itself has cost nothing."""
        fields = {"key": "edgeprof:" + key.format(victim=self.victim), "value": value}
        before, command, *arguments = write
        redis = self.store.script.redis
        with redis.pipeline(transaction=False) as pipe:
            if before:
                pipe.execute_command(before, fields["key"])
            pipe.execute_command(
                command, *(a.format(victim=self.victim, **fields) for a in arguments)
            )
            pipe.execute(raise_on_error=False)

    def finish(self) -> None:
        """See both jobs end well within a few turns of the custodian."""
        self._custodian.tick()
        self._custodian.tick()
        wanted = {self.victim, self.submit()}
        for _ in range(6):
            held = self._claim()
            if isinstance(held, Claim):
                assert held.job_id in wanted
                fault = JobError("carried out", code="test")
                assert self.store.jobs.fail(held.job_id, held.epoch, fault) is JobState.FAILED
            self._custodian.tick()
        assert [view.reason for view in self.store.jobs.views(sorted(wanted))] == [
            "carried out"
        ] * 2
        self._boards()
        list(self._scrape.collect())
        self.store.jobs.history(self.victim)
        self.store.jobs.events(self.victim)
        assert wanted <= {view.id for view in self.archived}

    def _boards(self) -> None:
        """See a board and its host listed, held and let go, as if nobody had written anything."""
        boards, hosts = self.store.boards, self.store.hosts
        boards.announce(Owner("h", "d", BOARD.uid), BOARD, 60)
        boards.cordon("b", BoardState.DRAINING, "ann", "wanted")
        boards.resume("b", "ann", "done")
        boards.identified("b", "ann", "it blinked")
        assert [each.state for each in boards.all() if each.device_id == "b"] == [BoardState.ONLINE]
        assert boards.history("b")
        agent = HostInfo(host="h", pid=1, sessions_address="h:1", devices_address="h:2")
        hosts.announce(agent)
        assert agent.model_copy(update={"fresh": True}) in hosts.all()
        hosts.cordoned()
        assert boards.next_epoch() >= time.time() * 1000 - 60e3

    def _claim(self) -> Claim | NoClaim:
        notified_job_id = next(iter(self.store.jobs.ids(JobState.QUEUED)), self.victim)
        return self.store.jobs.claim(
            notified_job_id,
            f"w{notified_job_id}",
            device_id="b",
            platform="null",
            host="h",
            lock_domain="d",
            lease_s=60,
        )


@pytest.mark.parametrize("write", WRITES, ids=lambda write: " ".join(write[:2]).strip())
@pytest.mark.parametrize("key", KEYS + WORKER_KEYS)
def test_no_single_write_holds_up_the_lab(
    store: LabStore, settings: Settings, key: str, write: tuple[str, ...]
) -> None:
    """Of any type, in any key a client or a worker may write."""
    lab = Bystander(store, settings)
    lab.attack(key, write, "ghost")

    lab.finish()


@hypothesis_settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(KEYS + WORKER_KEYS), st.sampled_from(WRITES), st.sampled_from(VALUES)
        ),
        min_size=2,
        max_size=8,
    )
)
def test_no_series_of_writes_holds_up_the_lab(
    store: LabStore,
    settings: Settings,
    attacks: list[tuple[str, tuple[str, ...], str]],
) -> None:
    """Nor several, one upon the other, with any value."""
    lab = Bystander(store, settings)
    for attack in attacks:
        lab.attack(*attack)

    lab.finish()


@pytest.mark.parametrize(
    ("where", "count"),
    [("order:platform.null", 90_000), ("ready:platform.null", 5000), ("deadlines", 5000)],
)
def test_many_ghosts_hide_no_job(
    store: LabStore, settings: Settings, where: str, count: int
) -> None:
    """However many stand before it: they are taken out as they are met."""
    lab = Bystander(store, settings)
    store.script.redis.zadd(f"edgeprof:{where}", {f"ghost{n}": -n for n in range(count)})

    lab.finish()


@pytest.mark.parametrize("schema", ["3", "99", "x", "-1", "1e400"])
def test_many_records_of_another_schema_hide_no_job(
    store: LabStore, settings: Settings, schema: str
) -> None:
    """Newer ones wait apart for an agent that knows them; what is no version fails."""
    lab = Bystander(store, settings)
    newer = [NewJob(make_spec(priority=9)) for _ in range(300)]
    store.jobs.submit(newer, "test")
    for job in newer:
        store.script.redis.hset(f"edgeprof:job:{job.id}", "schema", schema)

    lab.finish()

    known = schema in {"3", "99"}
    assert store.jobs.state(newer[0].id) is (JobState.QUEUED if known else JobState.FAILED)


def test_newer_agent_finds_the_jobs_set_apart(store: LabStore, make_spec: MakeSpec) -> None:
    """In their order, as if no older agent had looked."""
    first, second = NewJob(make_spec(priority=9)), NewJob(make_spec(priority=1))
    store.jobs.submit([second, first], "test")
    older = ("claim", first.id, "old", "b", "null", "h", "d", 60, 1, "")
    newer = ("claim", first.id, "new", "b", "null", "h", "d", 60, 2, "")

    assert store.script.call(*older) == ["needs a newer agent"]
    assert store.script.call(*newer)[1] == first.id


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("priority", "x"),
        ("priority", "-5"),
        ("queue", "x"),
        ("queue", "platform." + "x" * 500),
        ("max_attempts", ""),
        ("deadline_s", "nan"),
        ("queue_timeout_s", "soon"),
        ("spec", ""),
        ("state", "delayed"),
        ("state", "succeeded"),
    ],
)
def test_malformed_field_costs_its_own_job(
    store: LabStore, settings: Settings, field: str, value: str
) -> None:
    """Which fails, unless it says of itself that it has ended; the others go on."""
    lab = Bystander(store, settings)
    spoiled = lab.submit()
    store.script.redis.hset(f"edgeprof:job:{spoiled}", field, value)

    lab.finish()

    record = store.script.redis.hget(f"edgeprof:job:{spoiled}", "state")
    assert record == (value.encode() if field == "state" else b"failed")


@pytest.mark.parametrize(
    "field", ["max_attempts", "queue", "device", "host", "epoch", "queue_timeout_s"]
)
@pytest.mark.parametrize("value", [None, "", "x"])
def test_running_job_whose_record_is_spoiled_ends(
    store: LabStore, settings: Settings, field: str, value: str | None
) -> None:
    """Whoever waits for it learns so, and its board is free for the next."""
    lab = Bystander(store, settings)
    held = lab._claim()
    assert isinstance(held, Claim)
    key = f"edgeprof:job:{held.job_id}"
    if value is None:
        store.script.redis.hdel(key, field)
    else:
        store.script.redis.hset(key, field, value)
    store.script.redis.zadd("edgeprof:leases", {held.job_id: 0})
    store.script.redis.delete("edgeprof:last_sign")

    Custodian(store, settings).tick()

    assert store.jobs.state(held.job_id) in {JobState.FAILED, JobState.QUEUED}
    other = lab.submit()
    assert isinstance(lab._claim(), Claim)
    assert store.jobs.state(other)


def test_lost_records_are_forgotten_everywhere(store: LabStore, settings: Settings) -> None:
    """A job whose record somebody deleted is a ghost in every set, prunable and leased ones too."""
    lab = Bystander(store, settings)
    redis = store.script.redis
    for name in ("leases", "prunable", "delayed", "deadlines", "unarchived", "jobs:running"):
        redis.zadd(f"edgeprof:{name}", {"ghost": 0})
    redis.delete("edgeprof:last_sign")

    custodian = Custodian(store, settings, lab.archived.extend)
    custodian.tick()
    custodian.tick()

    for name in ("leases", "prunable", "delayed", "deadlines", "unarchived", "jobs:running"):
        assert redis.zscore(f"edgeprof:{name}", "ghost") is None, name


def test_token_is_never_lower_than_the_time_nor_far_ahead_of_it(store: LabStore) -> None:
    """Boards refuse one that is lower than the last: a small or huge one that somebody wrote is not counted on."""
    redis, seen = store.script.redis, store.boards.next_epoch()
    for written in ("5", "-1", "x", str(2**53), str(2**63 - 1)):
        redis.set("edgeprof:epoch", written)

        assert seen <= store.boards.next_epoch() < 2 * seen, written


def test_board_is_not_busy_with_a_job_that_it_does_not_run(
    store: LabStore, settings: Settings
) -> None:
    """However long the lease of a ghost that somebody gave it."""
    lab = Bystander(store, settings)
    store.script.redis.hset("edgeprof:running_on", "b", "ghost")
    store.script.redis.zadd("edgeprof:leases", {"ghost": 1e14})

    assert isinstance(lab._claim(), Claim)


def test_lease_and_announcement_without_end_are_ended(store: LabStore, settings: Settings) -> None:
    """Else a job would never be tried again, and a dead board be shown as live for ever."""
    lab = Bystander(store, settings)
    held = lab._claim()
    assert isinstance(held, Claim)
    store.boards.announce(Owner("h", "d", BOARD.uid), BOARD, 60)
    redis = store.script.redis
    redis.zadd("edgeprof:leases", {held.job_id: 1e14})
    redis.zadd("edgeprof:boards:until", {"b": float("inf")})

    lab._custodian.tick()

    assert store.jobs.state(held.job_id) is JobState.QUEUED
    assert [each.state for each in store.boards.all()] == [BoardState.OFFLINE]


def test_names_that_are_no_queues_lead_the_custodian_to_no_other_key(
    store: LabStore, settings: Settings
) -> None:
    """It deletes the doorbells of empty queues, with a login that may delete what a client may not."""
    lab = Bystander(store, settings)
    redis = store.script.redis
    redis.sadd("edgeprof:doorbell:_kombu.binding.celery.pidbox", "x")
    redis.sadd("edgeprof:queues", "_kombu.binding.celery.pidbox", "x" * 10**6)

    lab.finish()

    assert redis.exists("edgeprof:doorbell:_kombu.binding.celery.pidbox")
    assert redis.smembers("edgeprof:queues") == set()


@pytest.mark.parametrize("name", ["boards", "hosts"])
def test_flood_of_announcements_is_listed_in_part(
    store: LabStore, settings: Settings, name: str
) -> None:
    """Nobody's memory holds more than some thousand records of a bounded length."""
    redis = store.script.redis
    until = time.time() + 60
    with redis.pipeline(transaction=False) as pipe:
        for number in range(7000):
            pipe.hset(f"edgeprof:{name}", f"x{number}", "x" * 100)
            pipe.zadd(f"edgeprof:{name}:until", {f"x{number}": until})
        pipe.hset(f"edgeprof:{name}", "x0", "x" * 10**6)
        pipe.execute()

    listed = store.script.call(name)

    assert 500 < len(listed) <= 25_001  # five values a board
    assert max(map(len, listed)) < 1000


def test_attempts_and_results_that_nobody_can_read_hide_no_end(
    store: LabStore, settings: Settings
) -> None:
    """Whoever waits for the job learns how it ended."""
    lab = Bystander(store, settings)
    redis = store.script.redis
    redis.rpush(f"edgeprof:work:{lab.victim}:attempts", "x", '{"number": NaN}', "[1]", "x" * 10**6)
    redis.set(f"edgeprof:work:{lab.victim}:result", "x" * 10**7)

    lab.finish()


def test_flood_of_unreadable_announcements_is_one_line_of_the_log(
    store: LabStore, caplog: pytest.LogCaptureFixture
) -> None:
    """However often somebody looks: else it would wash all other lines away."""
    redis = store.script.redis
    for name in ("boards", "hosts"):
        for number in range(1200):
            redis.hset(f"edgeprof:{name}", f"x{number}", f'{{"x": {number}}}')
            redis.zadd(f"edgeprof:{name}:until", {f"x{number}": time.time() + 60})

    for _ in range(3):
        assert store.boards.all() == []
        assert store.hosts.all() == []

    assert len(caplog.records) == 2


def test_flood_of_boards_that_stay_long_hides_no_board_that_announces_itself(
    store: LabStore,
) -> None:
    """One login may announce thousands: what works is listed all the same."""
    store.boards.announce(Owner("h", "d", BOARD.uid), BOARD, 15)
    with store.script.redis.pipeline(transaction=False) as pipe:
        for number in range(6000):
            pipe.hset("edgeprof:boards", f"x{number}", "x")
            pipe.zadd("edgeprof:boards:until", {f"x{number}": time.time() + 600})
        pipe.execute()

    assert [each.device_id for each in store.boards.all()] == ["b"]


def test_ids_that_are_no_names_hold_up_no_archive(store: LabStore, settings: Settings) -> None:
    """Nobody finds those again that are no text: they are taken out where they are met."""
    lab = Bystander(store, settings)
    redis = store.script.redis
    for number in range(300):
        odd = b"\xff\n%d" % number
        redis.hset(b"edgeprof:job:" + odd, "state", "failed")
        redis.zadd("edgeprof:unarchived", {odd: number})

    lab.finish()

    assert store.maintenance.unarchived_count() == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("clock_hz", 10**400), ("n_ctx_max", 2**63), ("timer_resolution_ns", -(2**70))],
)
def test_number_that_nothing_can_count_with_costs_its_record(
    store: LabStore, field: str, value: int
) -> None:
    """It would end a table, a page or a database's transaction further on."""
    told = BOARD.model_copy(update={"device_id": "x", field: value})
    store.boards.announce(Owner("h", "d", "01"), told, 60)
    store.boards.announce(Owner("h", "d", BOARD.uid), BOARD, 60)

    assert [each.device_id for each in store.boards.all()] == ["b"]


@pytest.mark.parametrize("value", ["nan", "inf", "1e300", "-1"])
def test_job_of_a_time_that_no_calendar_has_is_not_listed(
    store: LabStore, settings: Settings, value: str
) -> None:
    """Whatever shows times would stumble over it."""
    lab = Bystander(store, settings)
    spoiled = lab.submit()
    store.script.redis.hset(f"edgeprof:job:{spoiled}", "created_s", value)

    assert [view.id for view in store.jobs.views([spoiled, lab.victim])] == [lab.victim]


def test_platforms_that_come_and_go_are_a_bounded_number_of_series() -> None:
    """A counter's series stays for as long as the scheduler does."""
    registry = CollectorRegistry()
    metrics = CustodianMetrics(registry)
    for number in range(1000):
        metrics.platform_known(f"p{number}")

    (jobs,) = (each for each in registry.collect() if each.name == "edgeprof_jobs_finished")
    assert len({sample.labels["platform"] for sample in jobs.samples}) == 65
