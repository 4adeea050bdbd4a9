"""The whole way on the native board: Lab, Celery, agent, link, firmware, and back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeprof.client import Lab
from edgeprof.scheduler.archive import Archive
from edgeprof.shared.models import catalogue
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobState
from tests.support.null_lab import Rig

pytestmark = pytest.mark.e2e

AGENT = "import typer; from edgeprof.workers.cli import worker; typer.run(worker)"
MODEL = min(catalogue.bundled(), key=lambda name: catalogue.bundled()[name].stat().st_size)


@pytest.fixture
def lab(rig: Rig) -> Iterator[Lab]:
    """A lab with an agent that drives two native boards."""
    rig.start_scheduler()
    arguments = ["--board", "native://?uid=0011", "--board", "native://?uid=0022"]
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT, *arguments],
        env={**os.environ, **rig.settings.as_environment()},
    )
    with Lab(settings=rig.settings) as opened:
        for board in ("native-0011", "native-0022"):
            rig.until_board(board, BoardState.ONLINE)
        yield opened
    agent.terminate()
    assert agent.wait(30) == 0


def test_model_is_measured_on_real_firmware(lab: Lab) -> None:
    """Tokens equal the host reference, and every number is there."""
    view = lab.submit(MODEL, platform="native", n_prompt=8, n_gen=16).wait(timeout=60)

    assert view.state is JobState.SUCCEEDED, view.reason
    assert view.result is not None
    case = view.result.cases[0]
    assert case.output_check is not None
    assert (case.output_check.matched, case.output_check.of) == (16, 16)
    assert case.decode_tokens_per_second is not None
    assert len(case.decode_tokens_per_second.samples) == 3
    assert view.result.identity.emulated


def test_killed_worker_is_replaced_by_the_other_board(rig: Rig, lab: Lab) -> None:
    """kill -9 of the board worker mid-job: another board finishes it within the lease and 2 s."""
    job = lab.submit(
        MODEL, platform="native", n_prompt=100, n_gen=100, repetitions=1000, check_output=False
    )
    board = rig.until_running(job)
    worker = job.history()[-1].actor.split("/")[1]

    os.kill(int(worker), signal.SIGKILL)
    killed_s = time.time()
    rig.wait_until(lambda: len(job.view().attempts) == 2, "a second attempt")

    first, second = job.view().attempts
    assert first.fault_class == "host"
    assert second.started_s - killed_s < rig.settings.lease_s + 2
    assert board == first.device_id
    job.cancel()
    assert job.wait(timeout=60).state is JobState.CANCELLED


@pytest.mark.parametrize("score", [False, True])
def test_a_model_whose_numbers_overflow_harms_no_board(
    rig: Rig, lab: Lab, tmp_path: Path, score: bool
) -> None:
    """A model whose numbers overflow fails after one attempt, and the board takes the next job."""
    sound = catalogue.resolve("shakespeare-240k")  # with a tokenizer, which --score needs
    path = tmp_path / "large.gguf"
    data = np.frombuffer(sound.data, np.uint8).copy()
    for part in ("gate", "up", "down"):
        info = sound.header.tensors[f"blk.0.ffn_{part}.weight"]
        data[info.offset : info.offset + info.n_bytes].view("<f4")[:] = 1e30
    path.write_bytes(data.tobytes())

    view = lab.submit(
        path, board="native-0011", prompt_tokens=[1, 2, 3], n_gen=4, score=score
    ).wait(timeout=60)

    assert view.state is JobState.FAILED
    assert "numbers overflow" in view.reason
    (attempt,) = view.attempts
    assert (attempt.fault_class, attempt.code) == ("model", "not_finite")
    after = lab.submit(MODEL, board="native-0011", n_prompt=8, n_gen=4).wait(timeout=60)
    assert after.state is JobState.SUCCEEDED
    assert rig.store.boards.history("native-0011") == []


def test_real_board_passes_its_self_test(rig: Rig, lab: Lab) -> None:
    """A quarantined board that works loads a model, gives the known answer, and is back."""
    rig.store.boards.cordon("native-0011", BoardState.QUARANTINED, "test", "faults")

    rig.until_board("native-0011", BoardState.ONLINE)
    (_, back) = rig.store.boards.history("native-0011")
    assert (back.actor, back.reason) == ("self-test", "passed")


def test_inputs_and_perplexity_reach_the_archive(rig: Rig, lab: Lab) -> None:
    """The archive has what was asked for beside what was measured, and the link's speed is known
    then."""
    view = lab.submit(
        MODEL,
        platform="native",
        prompt="ROMEO:",
        n_gen=0,
        score=True,
        score_tokens=40,
        repetitions=2,
    ).wait(timeout=60)

    assert view.state is JobState.SUCCEEDED, view.reason
    assert view.result is not None
    score = view.result.cases[0].score
    assert score is not None
    assert (score.n_tokens, score.perplexity) == (40, score.reference_perplexity)
    with Archive.open(rig.settings) as archive:
        archive.save([view])
        assert archive.view(view.id) == view
    speeds = {board.device_id: board.upload_bytes_per_s for board in lab.boards()}
    assert speeds[view.attempts[0].device_id] == view.result.load.transfer_bytes_per_second
