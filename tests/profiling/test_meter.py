"""Energy by a meter that is a program: what it saw counts, what it did not is absent."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import pytest

from edgeprof.workers.board.meter import Meter, mean_power_mw
from edgeprof.workers.testing.fake_meter import FakeMeter
from tests.profiling.session_types import Session


def program(line: str, pause_s: float = 0.001) -> list[str]:
    """Print a line again and again."""
    script = f"import time\nwhile True:\n    print({line}, flush=True)\n    time.sleep({pause_s})"
    return [sys.executable, "-c", script]


def test_energy_is_power_times_time(session: Session) -> None:
    """Energy is given for each repetition, by the board's own clock, and for each generated
    token."""
    result, _ = session(meter=FakeMeter(power_mw=250), n_gen=60, repetitions=2, warmup=1)

    run_s = sum(result.cases[0].run_device_s.samples)
    assert result.energy_per_token_mj == pytest.approx(250 * run_s / 120, rel=1e-3)
    assert result.energy_meter == "fake-meter"
    mean_mj = sum(result.energy_samples_mj) / len(result.energy_samples_mj)
    assert len(result.energy_samples_mj) == 2
    assert mean_mj == pytest.approx(result.energy_per_token_mj)


def test_power_of_a_session_is_that_of_its_runs(session: Session) -> None:
    """A job's power is that of its runs, and absent without a meter."""
    metered, _ = session(meter=FakeMeter(power_mw=250), n_gen=60, repetitions=2, warmup=1)
    bare, _ = session(n_gen=2)

    assert mean_power_mw(metered) == pytest.approx(250, rel=1e-3)
    assert mean_power_mw(bare) is None


def test_power_is_averaged_over_the_window(wait_until: Callable[..., None]) -> None:
    """Power is the mean over the window, of lines that a real program prints."""
    with Meter(program("100")) as meter:
        start_s = time.monotonic()
        wait_until(lambda: meter.energy_mj(start_s, time.monotonic()), "samples have come")
        end_s = time.monotonic()
        assert meter.energy_mj(start_s, end_s) == pytest.approx(100 * (end_s - start_s))
        # idle power before a run is not the run's
        assert meter.energy_mj(start_s - 10, start_s - 5) is None


@pytest.mark.parametrize(
    "command",
    [
        ["no-such-meter"],
        [sys.executable, "-c", "print('calibrating')"],
        program("'nan'"),
        program("'-5'"),
        program("5", pause_s=60),
    ],
    ids=["missing", "ends", "not a number", "negative", "too slow"],
)
def test_what_was_not_measured_is_absent(session: Session, command: list[str]) -> None:
    """The job succeeds all the same; its result has no energy, and no meter."""
    with Meter(command) as meter:
        result, _ = session(meter=meter)

    assert result.energy_per_token_mj is None
    assert result.energy_meter is None
