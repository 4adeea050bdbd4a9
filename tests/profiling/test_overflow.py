"""What a model computes is never held against a board: on the real firmware, numbers that
overflow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeprof.shared.errors import BoardFault, ModelError
from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference import Reference
from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.types.case import TestCase
from edgeprof.shared.types.job import JobSpec, Target
from edgeprof.shared.types.model import KvType
from edgeprof.shared.types.result import JobResult
from edgeprof.workers.link.device import LinkBoard, OpenOptions, open_board
from edgeprof.workers.profiling.profile_job import profile_job

PROMPT = (1, 5, 9, 2)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[LinkBoard]:
    options = OpenOptions(lock_dir=tmp_path / "locks", slot_dir=tmp_path / "slots")
    opened = open_board("native://?uid=01", options)
    yield opened
    opened.close()


@pytest.fixture
def run(board: LinkBoard, tmp_path: Path) -> Callable[..., JobResult]:
    """`run({tensor: factor}, score=True)` measures a small model, some of whose tensors, or rows,
    are multiplied."""

    def start(
        factors: dict[str, Any], reference: Reference | None = None, **fields: Any
    ) -> JobResult:
        path = SyntheticLlama(n_layers=1).write(tmp_path / "m.gguf")
        data = np.frombuffer(path.read_bytes(), np.uint8).copy()
        for name, factor in factors.items():
            info = ModelFile.open(path).header.tensors[name]
            weights = data[info.offset : info.offset + info.n_bytes].view("<f4")
            rows = factor.items() if isinstance(factor, dict) else [(slice(None), factor)]
            for row, times in rows:
                weights.reshape(info.rows, -1)[row] *= np.float32(times)
        path.write_bytes(data.tobytes())
        model = ModelFile.open(path)
        spec = JobSpec(
            model=model.ref,
            target=Target(platform="native"),
            cases=(TestCase(prompt_tokens=PROMPT, n_gen=4),),
            n_ctx=16,
            **{"kv_type": KvType.F32} | fields,
        )
        return profile_job(
            board, spec, path, model, reference or Reference(model),
            epoch=1, progress=lambda **_: None, should_stop=lambda: False,
            host="here", device_id="native-01",
        )  # fmt: skip

    return start


NAN = {"output_norm.weight": 1e38, "token_embd.weight": 1e3}


@pytest.mark.parametrize(
    ("score", "check_output"),
    [(True, False), (False, True), (True, True), (False, False)],
)
def test_logits_that_overflow_are_the_models_fault(
    run: Callable[..., JobResult], board: LinkBoard, score: bool, check_output: bool
) -> None:
    """Logits that overflow fail the model, scored or not, checked or not, and the board answers
    on."""
    with pytest.raises(ModelError, match="numbers overflow") as ended:
        run(NAN, score=score, check_output=check_output)

    assert ended.value.code == "not_finite"
    assert ended.value.blame == ""
    assert not ended.value.fault_class.retryable
    assert board.answers(1.0)


@pytest.mark.parametrize("check_output", [True, False])
def test_numbers_that_overflow_late_are_found(
    run: Callable[..., JobResult], check_output: bool
) -> None:
    """The last token of a prompt may be the first with a row that is too large."""
    with pytest.raises(ModelError, match="at position 3"):
        run({"token_embd.weight": {PROMPT[-1]: 1e25}}, check_output=check_output)


def test_a_cache_too_narrow_is_the_models_fault(run: Callable[..., JobResult]) -> None:
    """F16 has no room for what F32 holds: the type of the cache is said, and the wide one runs."""
    factors = {"blk.0.attn_v.weight": 1e5}
    with pytest.raises(ModelError, match="cached keys or values") as ended:
        run(factors, kv_type=KvType.F16, check_output=False)

    assert "F32 is the widest" in str(ended.value.hint)
    assert run(factors, kv_type=KvType.F32, check_output=False).cases


def test_a_perplexity_that_no_number_holds_is_the_models_fault(
    run: Callable[..., JobResult],
) -> None:
    """Finite log-likelihoods of thousands of nats are no malformed reply, and make no broken
    record."""
    with pytest.raises(ModelError, match="perplexity is no number") as ended:
        run({"token_embd.weight": 3e4}, score=True)

    assert ended.value.code == "not_finite"


def test_very_unlikely_tokens_are_measured(run: Callable[..., JobResult]) -> None:
    """A single token of a hundred nats is what the model computes, and is recorded."""
    result = run({"token_embd.weight": 30}, score=True)

    score = result.cases[0].score
    assert score is not None
    assert score.nll_nats > 50
    assert score.top1_agreement == 1.0


class Sane(Reference):
    """A reference that finds the text likely, whatever the board computes."""

    def score(
        self, tokens: Sequence[int], kv_type: KvType = KvType.F16
    ) -> tuple[list[float], list[int]]:
        """Say what a sound model would."""
        return [-1.0] * (len(tokens) - 1), [0] * (len(tokens) - 1)


def test_what_the_host_computes_otherwise_is_the_boards_fault(
    run: Callable[..., JobResult], tmp_path: Path
) -> None:
    """Nonsense from a board is the board's fault where the host finds sound numbers."""
    sound = ModelFile.open(SyntheticLlama(n_layers=1).write(tmp_path / "sound.gguf"))

    with pytest.raises(BoardFault, match="host reference's -1") as ended:
        run({"token_embd.weight": 150}, Sane(sound), score=True, check_output=False)

    assert ended.value.blame == "board"
