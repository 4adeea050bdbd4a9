"""The Python API: what is refused before anything is queued, and what is queued."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeprof.client import Lab, Request
from edgeprof.client.grid import Grid
from edgeprof.client.sweep import submit
from edgeprof.shared.errors import EdgeprofError, JobError, JobNotFound, ModelError, UsageError
from edgeprof.shared.models import ModelFile, catalogue
from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import BoardClash, Owner
from edgeprof.shared.types.board import BoardInfo, BoardState
from edgeprof.shared.types.job import JobState
from tests.support.board_infos import board_with_ram

MODEL = next(name for name in catalogue.bundled() if "240k" in name or "260k" in name)


@pytest.fixture
def lab(settings: Settings) -> Iterator[Lab]:
    with Lab(settings=settings) as opened:
        for name, uid, platform, ram in (
            ("big-1", "01", "big", 1 << 24),
            ("small-1", "02", "small", 65536),
        ):
            opened.store.boards.announce(
                Owner(host="h", lock_domain="d", uid=uid),
                board_with_ram(name, uid, platform, ram),
                60,
            )
        yield opened


def test_submit_queues_one_job_with_everything_in_it(lab: Lab) -> None:
    """Record, doorbell and file are there when submit returns."""
    job = lab.submit(MODEL, platform="big", n_prompt=8, n_gen=4, tags={"why": "test"})

    view = job.view()
    assert view.state is JobState.QUEUED
    assert view.trace_id
    assert lab.store.doorbells.waiting("platform.big") == 1
    assert lab.store.blobs.get(view.model.sha256) == catalogue.bundled()[MODEL].read_bytes()
    assert [view.id for view in lab.jobs()] == [job.id]


@pytest.mark.parametrize(
    ("wishes", "kind", "words"),
    [
        ({"platform": "bug"}, UsageError, "did you mean 'big'"),
        ({"board": "big-7"}, UsageError, "known boards: big-1, small-1"),
        ({}, UsageError, "either a platform or a board"),
        ({"platform": "big", "board": "big-1"}, UsageError, "either a platform or a board"),
        ({"platform": "big", "quantization": "Q3_K"}, UsageError, "known: F32"),
        ({"platform": "big", "quantization": "Q4_0"}, ModelError, "no kernel for Q4_0"),
        ({"platform": "small"}, ModelError, "NO ROOM"),
        ({"platform": "big", "prompt_tokens": []}, UsageError, "prompt is empty"),
        ({"platform": "big", "prompt_tokens": [99999]}, JobError, "not in the vocabulary"),
        ({"platform": "big", "n_prompt": 1000}, JobError, "context"),
        ({"platform": "big", "n_prompt": 0}, UsageError, "n_prompt must be at least 1"),
        ({"platform": "big", "n_gen": -1}, UsageError, "n_gen must be at least 0"),
        ({"platform": "big", "score": True, "score_tokens": 0}, UsageError, "1 to 4096"),
        ({"platform": "big", "score": True, "n_ctx": 1, "n_prompt": 1}, JobError, "no room"),
        ({"platform": "big", "timeout_s": 0.0}, UsageError, "timeout_s"),
        ({"platform": "big", "repetitions": 0}, UsageError, "repetitions must be at least 1"),
        ({"platform": "big", "n_prompt": 200, "n_gen": 200}, UsageError, "trained for"),
        ({"platform": "big", "n_ctx": 8}, UsageError, "fill 127 positions"),
        ({"platform": "big", "priority": 10}, UsageError, "priority"),
        ({"platform": "big", "kv_type": "F8"}, UsageError, "kv_type"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    lab: Lab, wishes: dict[str, Any], kind: type[EdgeprofError], words: str
) -> None:
    """Each mistake is named in the user's words, and no job is queued."""
    with pytest.raises(kind) as caught:
        lab.submit(MODEL, **wishes)

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert lab.jobs() == []


def test_unknown_model_lists_the_bundled_ones(lab: Lab, tmp_path: Path) -> None:
    """A name that is neither bundled nor a file."""
    with pytest.raises(UsageError) as caught:
        lab.submit(str(tmp_path / "nothing.gguf"), platform="big")

    assert MODEL in str(caught.value.hint)


def test_wait_for_board_accepts_a_platform_nobody_has(lab: Lab) -> None:
    """The job waits in the queue of a platform that is yet to come."""
    job = lab.submit(MODEL, platform="someday", wait_for_board=True)

    assert job.status is JobState.QUEUED


def test_sweep_refuses_with_reasons_and_queues_the_rest(lab: Lab) -> None:
    """Every combination becomes a job or a reasoned refusal."""
    base = Request(model=MODEL, n_prompt=4, n_gen=4)
    combinations = Grid(
        model=[MODEL], quantization=["F32", "Q8_0", "Q4_0"], platform=["big", "small"]
    ).requests(base)

    result = submit(lab, combinations)

    assert len(result.jobs) + len(result.refused) == 6
    assert {r.request.platform for r in result.refused if r.error.code == "no_memory"} == {"small"}
    assert {view.sweep_id for view in lab.jobs()} == {result.sweep_id}


def test_one_bad_request_of_many_queues_none(lab: Lab) -> None:
    """submit_many checks all before it queues any."""
    good, bad = Request(model=MODEL, platform="big"), Request(model=MODEL, platform="nope")
    with pytest.raises(UsageError):
        lab.submit_many([good, bad])

    assert lab.jobs() == []


def test_unknown_job_is_said_to_be_unknown(lab: Lab) -> None:
    """JobNotFound, not None and not a KeyError."""
    with pytest.raises(JobNotFound, match="nosuchjob"):
        lab.job("nosuchjob")


def test_cancelled_queued_job_ends_at_once(lab: Lab) -> None:
    """Nobody has to hear of it first."""
    job = lab.submit(MODEL, platform="big")

    assert job.cancel() is JobState.CANCELLED
    assert job.wait(timeout=60).state is JobState.CANCELLED


def test_wait_times_out_and_the_job_goes_on(lab: Lab) -> None:
    """TimeoutError names the job, whose state is unchanged."""
    job = lab.submit(MODEL, platform="big")
    with pytest.raises(TimeoutError, match=job.id):
        job.wait(timeout=0.2)

    assert job.status is JobState.QUEUED


def test_board_of_another_host_cannot_be_announced_again(lab: Lab) -> None:
    """A uid or a name that a live worker of another lock domain announced is refused."""
    other = Owner(host="h2", lock_domain="elsewhere", uid="01")
    with pytest.raises(BoardClash, match="already driven as big-1 by process"):
        lab.store.boards.announce(other, board_with_ram("new-name", "01", "big", 1), 60)


def test_silent_board_is_shown_offline_with_the_reason(
    lab: Lab, wait_until: Callable[..., None]
) -> None:
    """A worker that says nothing any more leaves its board on the list, offline."""
    owner = Owner(host="h", lock_domain="d", uid="03")
    lab.store.boards.announce(owner, board_with_ram("brief-1", "03", "big", 1), 0.05)

    def board() -> BoardInfo:
        return next(b for b in lab.boards() if b.device_id == "brief-1")

    wait_until(lambda: board().state is BoardState.OFFLINE, "the board is offline")
    assert "has been silent for" in board().reason
    assert board().seen_s > 0


def test_retry_is_a_new_job_of_the_same_spec(lab: Lab) -> None:
    """How a job ended never changes; what was asked is asked again, and says of whom."""
    first = lab.submit(MODEL, platform="big")
    first.cancel()

    again = lab.retry(first.id)

    assert again.id != first.id
    assert first.status is JobState.CANCELLED
    assert again.status is JobState.QUEUED
    asked = lab.store.jobs.spec(first.id)
    assert lab.store.jobs.spec(again.id) == asked.model_copy(
        update={"tags": {"retry-of": first.id}}
    )


def test_retry_of_what_still_runs_is_refused(lab: Lab) -> None:
    """A job that is queued needs no second one."""
    job = lab.submit(MODEL, platform="big")

    with pytest.raises(UsageError, match="is queued"):
        lab.retry(job.id)


def test_retry_without_the_model_is_refused(lab: Lab) -> None:
    """A job that no board could start is not queued."""
    job = lab.submit(MODEL, platform="big")
    job.cancel()
    lab.store.script.redis.delete(lab.store.script.key(f"blob:{job.view().model.sha256}"))

    with pytest.raises(UsageError, match="not in the store any more"):
        lab.retry(job.id)
    assert len(lab.jobs()) == 1


def damaged(path: Path, tensor: str, values: list[float]) -> Path:
    """A small F32 model, the first weights of one of whose tensors are others."""
    if not path.exists():
        SyntheticLlama(n_layers=1).write(path)
    info = ModelFile.open(path).header.tensors[tensor]
    data = bytearray(path.read_bytes())
    struct.pack_into(f"<{len(values)}f", data, info.offset, *values)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("score", [False, True])
def test_broken_weights_are_refused_before_anything_is_queued(
    lab: Lab, tmp_path: Path, score: bool
) -> None:
    """A model with NaN is refused by tensor, index and value; no job, no doorbell, no file in the
    store."""
    path = damaged(tmp_path / "nan.gguf", "blk.0.ffn_up.weight", [0.5, 0.5, float("nan")])

    with pytest.raises(ModelError, match=r"'blk.0.ffn_up.weight' is broken: weight 2 is nan"):
        lab.submit(path, platform="big", prompt_tokens=[1, 2], n_gen=4, score=score)

    assert lab.jobs() == []
    assert lab.store.doorbells.waiting("platform.big") == 0


def test_a_weight_that_the_type_cannot_hold_is_refused(lab: Lab, tmp_path: Path) -> None:
    """The type asked for is refused with the weight's size; a type that holds it is queued."""
    path = damaged(tmp_path / "large.gguf", "blk.0.ffn_up.weight", [1e5])

    with pytest.raises(ModelError, match=r"F16 cannot hold tensor .* weight 0 is 100000"):
        lab.submit(path, platform="big", prompt_tokens=[1, 2], n_gen=4, quantization="F16")

    assert lab.jobs() == []
    lab.submit(path, platform="big", prompt_tokens=[1, 2], n_gen=4, quantization="Q8_0")


def test_numbers_that_overflow_on_the_way_are_refused_where_the_host_computes(
    lab: Lab, tmp_path: Path
) -> None:
    """--score of another type runs the unquantized model here: what overflows there is not
    queued."""
    path = tmp_path / "large.gguf"
    path.write_bytes(catalogue.resolve("shakespeare-240k").data)  # it has a tokenizer
    for part in ("gate", "up", "down"):
        damaged(path, f"blk.0.ffn_{part}.weight", [1e6] * 64 * 96)

    with pytest.raises(ModelError, match="numbers overflow") as refused:
        lab.submit(
            path, platform="big", prompt_tokens=[1, 2], n_gen=4, score=True, quantization="Q8_0"
        )

    assert refused.value.code == "not_finite"
    assert lab.jobs() == []
