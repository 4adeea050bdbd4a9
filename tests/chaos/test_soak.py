"""The short form of the soak: the machinery works; whether anything grows takes many more jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import soak_run, soak_verdict
from tests.chaos.soak_plot import plot


@pytest.mark.e2e
def test_short_soak(tmp_path: Path) -> None:
    """All kinds of jobs end as they should, and nothing is left of them in Redis."""
    submitted: list[int] = []
    seen = soak_run.run(
        jobs=120,
        laps=2,
        hosts=1,
        boards=2,
        single=4,
        seed=2,  # all kinds of jobs are among them
        settings={"result_ttl_s": 0.5, "doorbell_grace_s": 0.5, "custodian_interval_s": 0.2},
        advance=submitted.append,
    )

    assert (seen.lost, seen.double, seen.odd) == (0, 0, [])
    assert set(seen.states) == {"succeeded", "failed", "cancelled", "expired"}
    assert sum(submitted) + 4 == seen.submitted == sum(seen.states.values())
    assert seen.events > seen.watched > 0
    assert sum(seen.shares_idle.values()) == 4
    assert seen.entries[0] == seen.entries[1]
    assert len(seen.rests) == 2
    found = soak_verdict.figures(seen)
    assert {"agent (1)", "redis (1)", "scheduler (1)", "worker (2)"} < set(found)
    assert all(isinstance(kept, bool) for kept in soak_verdict.promises(seen).values())
    plot(seen, tmp_path / "soak.png")
    assert (tmp_path / "soak.png").stat().st_size > 0
