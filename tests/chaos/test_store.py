"""The short forms of the campaigns on store, workers and network: the same code, smaller
numbers."""

from __future__ import annotations

import os

import pytest

from edgeprof.shared.store.lab import LabStore
from tests.chaos import exhaustive, partitions, stalls, storm


def test_every_short_order_of_calls(store: LabStore) -> None:
    """Four calls after each other, in every order."""
    found = exhaustive.search(store, depth=4, grants=2)

    assert found.broken == ""
    assert found.states > 300


@pytest.mark.e2e
def test_short_storm() -> None:
    """Some kills lose no job and repeat none."""
    result, kills = storm.run(
        jobs=30, seconds=15, hosts=2, boards=2, lease_s=3, pause_s=1.5, seed=1
    )

    assert result.kept, result
    assert result.states == {"succeeded": 30}
    assert sum(kills.values()) > 5


@pytest.mark.e2e
def test_stalled_worker_is_fenced() -> None:
    """A stalled worker's late result is refused, and the refusal is recorded."""
    result = stalls.run(stalls=1, lease_s=2)

    assert result.kept, result
    assert (result.finished, result.fenced, result.attempts) == (1, 1, 2)


@pytest.mark.e2e
@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_partition_of_each_machine() -> None:
    """Three hosts and the scheduler, each cut off once."""
    result = partitions.run(rounds=1, boards=1, lease_s=2, seed=1)

    assert result.kept, result
    assert set(result.states) == {"succeeded"}
