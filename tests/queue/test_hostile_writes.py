"""Whatever is written into one key of Redis, jobs of others are carried out."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from edgeprof.shared.settings import Settings
from edgeprof.shared.store.lab import LabStore
from tests.queue.bystander import Bystander

#: Keys below "edgeprof:" that deploy/redis/users.acl lets a client write; {victim} is an honest job
#: queued before.
KEYS = (
    "jobs",
    "jobs:queued",
    "jobs:running",
    "jobs:succeeded",
    "queues",
    "ready:platform.null",
    "order:platform.null",
    "turns:platform.null",
    "lanes:platform.null",
    "reservations",
    "reservations:until",
    "orders",
    "deadlines",
    "delayed",
    "unarchived",
    "aside",
    "store",
    "schedules",
    "schedules:paused",
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
    "boards:thorough",
    "boards:upgrade",
    "boards:faults",
    "boards:lent",
    "board:b:history",
    "board:b:log",
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


@pytest.mark.parametrize("write", WRITES, ids=lambda write: " ".join(write[:2]).strip())
@pytest.mark.parametrize("key", KEYS + WORKER_KEYS)
def test_no_single_write_holds_up_the_lab(
    store: LabStore, settings: Settings, key: str, write: tuple[str, ...]
) -> None:
    """One write of any type, to any key that a client or worker may write, holds up no other
    job."""
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
    """Several writes one upon the other, with any values, hold up no other job."""
    lab = Bystander(store, settings)
    for attack in attacks:
        lab.attack(*attack)

    lab.finish()
