"""Jobs that want tags of a board wait for one that has them, in nobody's way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from edgeprof.client import Job, Lab
from edgeprof.client.routing import choose_target, told_by
from edgeprof.client.waits import what_it_waits_for
from edgeprof.shared.errors import HostFault, UsageError
from edgeprof.shared.queue.celery_app import KEY_PREFIX, PRIORITY_STEPS
from edgeprof.shared.queue.doorbell import SEPARATOR
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import Owner
from edgeprof.shared.store.job_values import Claim, Doorbell, NewJob, NoClaim
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobSpec, JobState
from edgeprof.shared.types.result import JobResult
from tests.support.board_infos import null_board
from tests.support.null_lab import Rig

MakeSpec = Callable[..., JobSpec]
BIG = {"psram": "8MB"}
RESULT = cast(Any, JobResult).model_construct(cases=())  # the store does not look inside


@pytest.fixture
def store(settings: Settings) -> Iterator[LabStore]:
    """A lab of two boards: "big" has psram=8MB, "plain" has no tag."""
    with LabStore.open(settings) as opened:
        announce(opened, "big", BIG)
        announce(opened, "plain")
        yield opened


def announce(
    store: LabStore,
    board: str,
    tags: dict[str, str] | None = None,
    state: BoardState = BoardState.ONLINE,
    host: str = "h",
) -> None:
    info = null_board(board).model_copy(update={"tags": tags or {}, "state": state, "host": host})
    store.boards.announce(Owner(host="h", lock_domain="d", uid=board), info, 60)


def submit(store: LabStore, *specs: JobSpec) -> list[str]:
    jobs = [NewJob(spec, told_by="") for spec in specs]
    store.jobs.submit(jobs, "test")
    return [job.id for job in jobs]


def claim(store: LabStore, board: str, notified: str, host: str = "h") -> str | NoClaim:
    """Claim a job for a board, and end it; returns its id, or why there was none."""
    held = store.jobs.claim(
        notified, f"w/{board}", device_id=board, platform="null",
        host=host, lock_domain="d", lease_s=60,
    )  # fmt: skip
    if isinstance(held, Claim):
        store.jobs.succeed(held.job_id, held.epoch, RESULT)
        return held.job_id
    return held


def notifications(store: LabStore, grace_s: float = 0) -> list[Doorbell]:
    return list(
        store.maintenance.stale_notifications(
            grace_s, key_prefix=KEY_PREFIX, separator=SEPARATOR, last_step=PRIORITY_STEPS[-1]
        )
    )


def test_jobs_that_no_free_board_can_have_hold_up_nobody(
    store: LabStore, make_spec: MakeSpec
) -> None:
    """Ever so many may wait at the head of the queue: a claim does not walk through them."""
    first, *_ = submit(store, *[make_spec(require=BIG, priority=9)] * 11_000)
    (plain,) = submit(store, make_spec(priority=0))

    assert claim(store, "plain", plain) == plain
    assert claim(store, "plain", first) == "gone"
    assert claim(store, "big", first) == first


def test_both_lanes_keep_one_order(store: LabStore, make_spec: MakeSpec) -> None:
    """A board with the tag takes what is first, whether it wants the tag or not: priority, then
    the users' turns."""
    a1, a2 = submit(store, *[make_spec(user="ann")] * 2)
    b1, b2 = submit(store, *[make_spec(user="bob", require=BIG)] * 2)
    (urgent,) = submit(store, make_spec(user="bob", require=BIG, priority=9))

    served = [claim(store, "big", a1) for _ in range(5)]

    assert served[0] == urgent
    assert {*served[1:3]} == {a1, b1}
    assert {*served[3:]} == {a2, b2}


def test_turns_never_go_back_for_a_lane_that_waited(store: LabStore, make_spec: MakeSpec) -> None:
    """After a lane's old job was served, a new user does not come before those who wait."""
    (old,) = submit(store, make_spec(user="ann", require=BIG))
    many = submit(store, *[make_spec(user="bob")] * 6)
    assert [claim(store, "plain", many[0]) for _ in range(4)] == many[:4]
    assert claim(store, "big", old) == old
    news = submit(store, *[make_spec(user="eve")] * 4)

    order = [claim(store, "plain", many[0]) for _ in range(6)]

    assert order.index(many[5]) < order.index(news[2])


def test_only_idle_boards_with_the_tag_are_told(store: LabStore, make_spec: MakeSpec) -> None:
    """By their own queue, and once: a doorbell that waits there is enough. Boards without the tag
    are told nothing, again and again."""
    (job,) = submit(store, make_spec(require=BIG))

    (told,) = notifications(store)
    assert (told.job_id, told.queue) == (job, "board.big")
    store.doorbells.notify([told], step=0)
    assert notifications(store) == []
    announce(store, "other", BIG, BoardState.BUSY)
    assert notifications(store) == []
    announce(store, "other", BIG)
    assert [told.queue for told in notifications(store)] == ["board.other"]
    store.boards.cordon("other", BoardState.DRAINING, "ann", "why not")
    assert notifications(store) == []


def test_doorbells_that_nobody_needs_are_removed(store: LabStore, make_spec: MakeSpec) -> None:
    """When the last job with the tag is gone, so are its doorbells, its lane and its queues."""
    (job,) = submit(store, make_spec(require=BIG))
    store.doorbells.notify(notifications(store), step=0)
    assert store.doorbells.waiting("board.big") == 1

    store.jobs.cancel(job, "ann", "why not")

    assert notifications(store) == []
    assert store.doorbells.waiting("board.big") == 0
    assert store.jobs.queue_depths() == []
    assert store.script.redis.keys(store.script.key("lanes:*")) == []


def test_waiting_jobs_are_counted_with_their_queue(store: LabStore, make_spec: MakeSpec) -> None:
    """Tags make no queues that anybody would have to know."""
    submit(store, make_spec(require=BIG), make_spec(require={"lab": "berlin"}), make_spec())

    assert [(depth.queue, depth.jobs) for depth in store.jobs.queue_depths()] == [
        ("platform.null", 3)
    ]


def test_a_job_that_fell_out_of_its_lane_is_put_back(store: LabStore, make_spec: MakeSpec) -> None:
    """Whatever index was deleted: the record is the truth."""
    (job,) = submit(store, make_spec(require=BIG))
    redis = store.script.redis
    for name in redis.keys("edgeprof:order:*") + redis.keys("edgeprof:lanes:*"):
        redis.delete(name)

    store.maintenance.heal()

    assert claim(store, "plain", job) == "gone"
    assert claim(store, "big", job) == job


def test_jobs_are_spread_over_the_boards_that_have_the_tag(
    store: LabStore, make_spec: MakeSpec
) -> None:
    """Each is told by one of them, idle ones first; a platform's own doorbell tells of the rest."""
    announce(store, "a", BIG, BoardState.BUSY)
    announce(store, "gone", BIG, BoardState.OFFLINE)
    boards = store.boards.all()
    tagged = make_spec(require=BIG)

    queues = told_by([make_spec(), tagged, tagged, tagged, make_spec(board="big")], boards)

    assert queues == [None, "board.big", "board.a", "board.big", None]
    assert told_by([make_spec(require={"no": "one"})], boards) == [""]


def test_tags_that_no_board_has_are_refused(store: LabStore) -> None:
    """With what the boards have; who wants to wait for one says so."""
    boards = store.boards.all()

    for target in ({"platform": "null", "board": None}, {"platform": None, "board": "plain"}):
        asked: dict[str, Any] = target | {"boards": boards, "require": {"psram": "16MB"}}
        with pytest.raises(UsageError, match=r"psram=16MB .*plain: no tags") as refused:
            choose_target(**asked, wait_for_board=False)
        assert "--wait-for-board" in str(refused.value.hint)
        choose_target(**asked, wait_for_board=True)
    choose_target("null", None, boards, wait_for_board=False, require=BIG)


def test_a_job_says_which_board_it_waits_for(store: LabStore, make_spec: MakeSpec) -> None:
    """That has the tag, and what hinders it."""
    (job,) = submit(store, make_spec(require=BIG))

    def said() -> str | None:
        return what_it_waits_for(store.jobs.view(job), store.boards.all())

    assert said() is None
    announce(store, "big", BIG, BoardState.BUSY)
    assert said() == "waits for a board null with psram=8MB: big has it, and is busy"
    store.boards.cordon("big", BoardState.DRAINING, "ann", "new cable")
    assert said() == "waits for big, which is drained (new cable)"
    announce(store, "big", {})
    assert said() == "waits for a board null with psram=8MB: no worker has announced one"


def test_reserved_board_runs_only_its_users_jobs(store: LabStore, make_spec: MakeSpec) -> None:
    """From its queue and its platform's; the others wait, and say for whom and until when."""
    bound, ours = submit(store, make_spec(board="plain", user="bob"), make_spec(user="ann"))
    (others,) = submit(store, make_spec(user="bob", priority=9))
    store.reservations.reserve("plain", "ann", 3600, "new kernel")

    assert not store.boards.cordons("plain").listens_to_platform
    assert [(told.job_id, told.queue) for told in notifications(store) if told.queue[0] == "b"] == [
        (ours, "board.plain")
    ]
    assert claim(store, "plain", others) == ours
    assert claim(store, "plain", others) == "reserved"
    assert claim(store, "plain", bound) == "reserved"
    assert [told.queue for told in notifications(store) if told.queue[0] == "b"] == []
    waits = what_it_waits_for(store.jobs.view(bound), store.boards.all())
    assert waits is not None
    assert waits.startswith("waits for plain, which is reserved by ann until 20")
    assert waits.endswith(" UTC: new kernel")
    assert claim(store, "big", others) == others
    assert store.reservations.release("plain", "ann")
    assert claim(store, "plain", bound) == bound


def test_a_running_job_ends_in_peace(store: LabStore, make_spec: MakeSpec) -> None:
    """A reservation takes nothing away: the job keeps its lease and its result counts."""
    (job,) = submit(store, make_spec(user="bob"))
    asked: dict[str, Any] = {
        "device_id": "plain", "platform": "null", "host": "h", "lock_domain": "d", "lease_s": 60,
    }  # fmt: skip
    held = store.jobs.claim(job, "w", **asked)
    assert isinstance(held, Claim)

    store.reservations.reserve("plain", "ann", 3600)

    assert store.jobs.claim(job, "w", **asked) == held
    assert store.jobs.renew(job, held.epoch, 60) == "ok"
    assert store.jobs.succeed(job, held.epoch, RESULT) == "succeeded"


def test_reservation_ends_by_itself(store: LabStore, make_spec: MakeSpec) -> None:
    """At its time by Redis' clock, whether or not a custodian has been there."""
    bob = submit(store, *[make_spec(user="bob")] * 2)
    store.reservations.reserve("plain", "ann", 3600)
    assert claim(store, "plain", bob[0]) == "reserved"
    redis, key = store.script.redis, store.script.key
    orders = redis.get(key("orders"))
    assert "reservations" not in store.maintenance.due()

    # Its time is moved into the past; Redis' clock stays.
    redis.hset(key("reservations"), "plain", json.dumps({"user": "ann", "until_s": 1}))
    redis.zadd(key("reservations:until"), {"plain": 1})

    assert "reservations" in store.maintenance.due()
    assert claim(store, "plain", bob[0]) == bob[0]
    store.maintenance.end_reservations()
    assert redis.get(key("orders")) != orders
    assert "reservations" not in store.maintenance.due()
    assert all(board.reservation is None for board in store.boards.all())


def test_reserved_boards_are_refused_to_others(
    store: LabStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With who has it, until when and why; its user may set the end anew."""
    monkeypatch.setenv("LOGNAME", "ann")
    with Lab(settings=settings) as lab:
        until_s = lab.reserve("big", 3600, "new kernel")
        assert lab.reserve("big", 7200) > until_s
        monkeypatch.setenv("LOGNAME", "bob")
        for refused in (lambda: lab.reserve("big", 60), lambda: lab.release("big")):
            with pytest.raises(UsageError, match=r"big is reserved by ann until 20.* UTC") as error:
                refused()
            assert "--force" in str(error.value.hint)
        assert [board.device_id for board in lab.boards({"psram": "8MB"})] == ["big"]
    assert store.reservations.release("big", None)
    assert not store.reservations.release("big", None)


def test_retry_waits_for_a_board_that_may_have_it(store: LabStore, make_spec: MakeSpec) -> None:
    """A job avoids the board that failed it only while another has its tags, and is free for it."""
    announce(store, "far", host="other")
    (job,) = submit(store, make_spec(require=BIG))
    held = store.jobs.claim(
        job, "w", device_id="big", platform="null", host="h", lock_domain="d", lease_s=60
    )
    assert isinstance(held, Claim)
    store.jobs.fail(job, held.epoch, HostFault("no space left", code="cache_write"))

    announce(store, "far", BIG, host="other")
    assert claim(store, "big", job) == "better elsewhere"
    store.reservations.reserve("far", "eve", 60)
    assert claim(store, "big", job) == job


def test_a_drained_host_is_a_persons_word(store: LabStore, make_spec: MakeSpec) -> None:
    """It holds for boards that come later, no self-test ends it, and it is no alarm."""
    store.hosts.cordon("h", "user:ann", "moves to another shelf", drained=True)
    announce(store, "new")
    (job,) = submit(store, make_spec())

    assert claim(store, "new", job) == "its host is cordoned"
    assert not store.boards.cordons("new", "h").suspect
    assert not store.hosts.uncordon("h")
    store.hosts.cordon("h", "self-test", "no space left")
    assert store.hosts.cordoned() == {}
    assert {(board.state, board.reason) for board in store.boards.all()} == {
        (BoardState.DRAINING, "host h is drained: moves to another shelf")
    }
    assert store.hosts.uncordon("h", drained=True)
    assert claim(store, "new", job) == job


@pytest.mark.e2e
def test_two_boards_share_a_queue_by_tags_and_reservations(rig: Rig, make_spec: MakeSpec) -> None:
    """Real workers: what the one with the tag may not or cannot do goes to the other, and what
    waits for it is done as soon as it can be, whoever took the doorbells."""
    rig.start_worker("01", tags=["psram=8MB"])
    rig.start_worker("02")
    rig.start_scheduler()
    for board in ("null-01", "null-02"):
        rig.until_board(board, BoardState.ONLINE)

    def board_of(job: Job) -> str:
        rig.wait_until(lambda: job.status.terminal, f"{job} has ended")
        return job.view().attempts[-1].device_id

    first = rig.submit(make_spec(4000, board="null-01"))
    rig.until_running(first)
    tagged = [rig.submit(make_spec(require=BIG, priority=9)) for _ in range(2)]
    assert [board_of(rig.submit(make_spec())) for _ in range(2)] == ["null-02"] * 2
    assert [job.status for job in tagged] == [JobState.QUEUED] * 2
    first.cancel()
    assert [board_of(job) for job in tagged] == ["null-01"] * 2

    rig.store.reservations.reserve("null-02", "ann", 3600)
    first = rig.submit(make_spec(4000, board="null-01", user="bob"))
    rig.until_running(first)
    bound, other = (rig.submit(make_spec(user="bob", board=b)) for b in ("null-02", None))
    assert board_of(rig.submit(make_spec(user="ann"))) == "null-02"
    assert [job.status for job in (bound, other)] == [JobState.QUEUED] * 2
    rig.store.reservations.release("null-02", "ann")
    assert [board_of(job) for job in (bound, other)] == ["null-02"] * 2
    first.cancel()
