"""Stacked bars of profiles: they add up to the token, and are there only for what was profiled."""

from __future__ import annotations

import pytest

from edgeprof.scheduler.report.profile_plot import PARTS, seconds_a_token
from edgeprof.shared.types.profile import Operator, Phase, Profile, ProfileCell
from edgeprof.shared.types.result import JobView
from tests.support.reports import measured_job, report_of, several


def cell(operator: Operator, ticks: int, phase: Phase = Phase.DECODE) -> ProfileCell:
    return ProfileCell(
        phase=phase, operator=operator, layer=None, calls=1, ticks=ticks, macs=0,
        weight_bytes=0, cache_bytes=0,
    )  # fmt: skip


def profile(cost_of_looking: float | None = 0.01) -> Profile:
    cells = [cell(operator, 100) for operator in Operator]
    return Profile(
        tick_hz=1000,
        by_layer=False,
        cells=(*cells, cell(Operator.HEAD, 5000, Phase.PREFILL)),
        prefill_ticks=6000,
        decode_ticks=100 * len(Operator) + 62,
        bucket_positions=16,
        by_position=((10,) * len(Operator), (30,) * len(Operator)),
        cost_of_looking=cost_of_looking,
    )


def profiled(job_id: str, cost_of_looking: float | None = 0.01) -> JobView:
    view = measured_job(job_id, platform="esp32s3")
    assert view.result is not None
    case = view.result.cases[0].model_copy(update={"profile": profile(cost_of_looking)})
    result = view.result.model_copy(update={"cases": (case,)})
    return view.model_copy(update={"result": result})


def test_every_operator_is_in_one_part() -> None:
    """No operator's time is lost or counted twice."""
    operators = [operator for part in PARTS.values() for operator in part]
    assert sorted(operators) == sorted(Operator)


def test_parts_add_up_to_a_step() -> None:
    """With what no operator has; the prefill's time is not in it."""
    parts = seconds_a_token(profile(), n_steps=31)

    assert sum(parts.values()) == pytest.approx(profile().decode_ticks / 1000 / 31)
    assert parts["head"] == pytest.approx(0.2 / 31)
    assert parts["profiling itself"] == pytest.approx(0.062 / 31)


def test_bars_are_of_what_was_profiled() -> None:
    """Without a profile there is no such plot; a profile that slowed its run says by how much."""
    assert "Where the time goes" not in report_of(several())
    cheap, dear = report_of([profiled("p")]), report_of([profiled("p", 0.42)])
    assert "Where the time goes" in cheap
    assert "Where the time goes, by position" in cheap
    assert "feed-forward" in cheap
    assert "profiled +" not in cheap
    assert "profiled +42%" in dear
