"""How long a sweep will take, from jobs that have ended."""

from __future__ import annotations

from typing import Any

import pytest

from edgeprof.client.durations import History, attempt_s, expected, sweep_s
from edgeprof.client.planning import Planned
from edgeprof.client.prediction.predict import predict
from edgeprof.shared.models.catalogue import resolve
from edgeprof.shared.models.operators import dimensions_of
from edgeprof.shared.types.job import Basis, Target
from edgeprof.shared.types.model import KvType
from edgeprof.shared.types.result import JobView, Samples
from tests.support.board_infos import numbered_board
from tests.support.finished_job import finished_job
from tests.support.jobs import make_spec
from tests.support.priced_platform import CEILINGS, N_GEN, N_PROMPT, dimensions, measured

#: finished_job has 4 runs of 0.7 s, of 64 + 31 steps, in an attempt of 1 s.
TOKEN_S = 0.7 / 95


def ended(took_s: float = 10.0, **others: Any) -> JobView:
    view = finished_job(**others)
    attempt = view.attempts[0].model_copy(update={"started_s": 100.0, "ended_s": 100.0 + took_s})
    return view.model_copy(update={"attempts": (attempt,)})


def planned(platform: str, view: JobView, scale: int = 1) -> Planned:
    """4 runs of 8 + 3 steps; of the same model, or of one so many times as large."""
    made = make_spec()
    model = view.model
    if scale > 1:
        update = {"sha256": "cd" * 32, "size_bytes": model.size_bytes * scale}
        model = model.model_copy(update=update)
    case = made.cases[0].model_copy(update={"prompt_tokens": (1,) * 8, "n_gen": 4})
    spec = made.model_copy(
        update={
            "model": model,
            "target": Target(platform=platform),
            "cases": (case,),
            "repetitions": 3,
            "warmup": 1,
        }
    )
    return Planned(spec, resolve("shakespeare-240k"), platform)


def test_a_model_that_ran_before_takes_as_long_a_token() -> None:
    """The time is that of the attempts' overhead, and of each token as it was measured."""
    view = ended()
    overhead_s = 10.0 - 4 * 0.7

    took_s = attempt_s(planned("stm32f405", view), History([view]))

    assert took_s == pytest.approx(overhead_s + 4 * 11 * TOKEN_S)


def test_another_model_takes_time_in_proportion_to_its_size() -> None:
    """A model that has not run on the platform is compared with those that have, by its bytes."""
    view = ended()

    took_s = attempt_s(planned("stm32f405", view, scale=3), History([view]))

    assert took_s == pytest.approx(10.0 - 4 * 0.7 + 3 * 4 * 11 * TOKEN_S)


def test_another_model_is_predicted_by_its_operators() -> None:
    """Where the platform has profiles, operators tell more than bytes; what the host waits beyond
    the board's clock comes on top."""
    view = ended()
    assert view.result is not None
    sample = measured(dimensions("F32"))
    case = view.result.cases[0].model_copy(
        update={
            "n_prompt": N_PROMPT, "n_gen": N_GEN, "profile": sample.profile,
            "position_latency_s": (sample.decode_s / (N_GEN - 1),) * (N_GEN - 1),
            "ttft_s": Samples.of([sample.prefill_s]),
        }
    )  # fmt: skip
    profiled = view.result.model_copy(
        update={"cases": (case,), "dimensions": sample.dimensions, "ceilings": CEILINGS}
    )
    history = History([view.model_copy(update={"result": profiled})])
    job = planned("stm32f405", view, scale=3)
    costs = history.costs("stm32f405")
    run = predict(costs, dimensions_of(job.model, KvType.F16, "flash"), 8, 4)
    assert run is not None

    found = expected(job, history)

    (past,) = history.on("stm32f405")
    took_s = past.overhead_s + 4 * run.run_s * past.host_per_board
    before = expected(planned("stm32f405", view), history)
    assert found is not None
    assert found.attempt_s == pytest.approx(took_s)
    assert found.basis is Basis.PREDICTED
    assert before is not None
    assert before.basis is Basis.HISTORY  # of the same model


def test_nothing_is_expected_of_what_was_not_profiled() -> None:
    """A job's record says nothing where only bytes could be compared: that is a guess."""
    view = ended()

    assert expected(planned("stm32f405", view, scale=3), History([view])) is None


def test_a_platform_without_history_is_not_predicted() -> None:
    """No number is invented for a platform on which nothing has run."""
    view = ended()

    assert attempt_s(planned("rp2350", view), History([view])) is None


def test_boards_of_a_platform_share_its_jobs() -> None:
    """The sweep takes as long as the platform that ends last, whose boards take turns."""
    fast, slow = ended(took_s=3.0, platform="native"), ended(took_s=30.0)
    boards = [numbered_board(1), numbered_board(2), numbered_board(3, platform="stm32f405")]
    jobs = [planned("native", fast)] * 4 + [planned("stm32f405", slow), planned("rp2350", slow)]

    predicted = sweep_s(jobs, boards, History([fast, slow]))

    native_s, _, _, _, stm32_s, unknown = predicted.jobs_s
    assert native_s is not None
    assert stm32_s is not None
    assert unknown is None
    assert (predicted.all_s, predicted.unknown) == (stm32_s, 1)
    only_native = sweep_s(jobs[:4], boards, History([fast, slow]))
    assert only_native.all_s == pytest.approx(2 * native_s)
