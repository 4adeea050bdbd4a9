"""How long a sweep will take, from jobs that have ended."""

from __future__ import annotations

from typing import Any

import pytest

from edgeprof.client.durations import History, attempt_s, sweep_s
from edgeprof.shared.types.job import JobSpec, Target
from edgeprof.shared.types.result import JobView
from tests.support.board_infos import numbered_board
from tests.support.finished_job import finished_job
from tests.support.jobs import make_spec

#: finished_job has 4 runs of 0.7 s, of 64 + 31 steps, in an attempt of 1 s.
TOKEN_S = 0.7 / 95


def ended(took_s: float = 10.0, **others: Any) -> JobView:
    view = finished_job(**others)
    attempt = view.attempts[0].model_copy(update={"started_s": 100.0, "ended_s": 100.0 + took_s})
    return view.model_copy(update={"attempts": (attempt,)})


def spec(platform: str, view: JobView, scale: int = 1) -> JobSpec:
    """4 runs of 8 + 3 steps; of the same model, or of one so many times as large."""
    made = make_spec()
    model = view.model
    if scale > 1:
        update = {"sha256": "cd" * 32, "size_bytes": model.size_bytes * scale}
        model = model.model_copy(update=update)
    case = made.cases[0].model_copy(update={"prompt_tokens": (1,) * 8, "n_gen": 4})
    return made.model_copy(
        update={
            "model": model,
            "target": Target(platform=platform),
            "cases": (case,),
            "repetitions": 3,
            "warmup": 1,
        }
    )


def test_a_model_that_ran_before_takes_as_long_a_token() -> None:
    """The time is that of the attempts' overhead, and of each token as it was measured."""
    view = ended()
    overhead_s = 10.0 - 4 * 0.7

    took_s = attempt_s(spec("stm32f405", view), "stm32f405", History([view]))

    assert took_s == pytest.approx(overhead_s + 4 * 11 * TOKEN_S)


def test_another_model_takes_time_in_proportion_to_its_size() -> None:
    """A model that has not run on the platform is compared with those that have, by its bytes."""
    view = ended()

    took_s = attempt_s(spec("stm32f405", view, scale=3), "stm32f405", History([view]))

    assert took_s == pytest.approx(10.0 - 4 * 0.7 + 3 * 4 * 11 * TOKEN_S)


def test_a_platform_without_history_is_not_predicted() -> None:
    """No number is invented for a platform on which nothing has run."""
    view = ended()

    assert attempt_s(spec("rp2350", view), "rp2350", History([view])) is None


def test_boards_of_a_platform_share_its_jobs() -> None:
    """The sweep takes as long as the platform that ends last, whose boards take turns."""
    fast, slow = ended(took_s=3.0, platform="native"), ended(took_s=30.0)
    boards = [numbered_board(1), numbered_board(2), numbered_board(3, platform="stm32f405")]
    specs = [spec("native", fast)] * 4 + [spec("stm32f405", slow), spec("rp2350", slow)]

    predicted = sweep_s(specs, boards, History([fast, slow]))

    native_s, _, _, _, stm32_s, unknown = predicted.jobs_s
    assert native_s is not None
    assert stm32_s is not None
    assert unknown is None
    assert (predicted.all_s, predicted.unknown) == (stm32_s, 1)
    only_native = sweep_s(specs[:4], boards, History([fast, slow]))
    assert only_native.all_s == pytest.approx(2 * native_s)
