"""Boards and lines that misbehave: each ends in the right class, and never in a wrong number."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgeprof.shared.errors import BoardFault, Fault, LinkFault, ModelError
from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference import Reference
from edgeprof.shared.types.model import KvType
from edgeprof.shared.types.result import LoadResult, MemoryUse
from edgeprof.workers.board.protocols import RunReport
from edgeprof.workers.link import runs
from edgeprof.workers.link.device import LinkBoard, OpenOptions, open_board
from tests.link.conftest import Line

PROMPT = (1, 400, 401)


def load(
    board: LinkBoard,
    model: ModelFile,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[LoadResult, tuple[MemoryUse, ...]]:
    return board.load(
        model.path, model.sha256, n_ctx=64, kv_type=KvType.F16, epoch=1,
        on_progress=on_progress, should_stop=stop,
    )  # fmt: skip


def run(board: LinkBoard, n_gen: int = 32) -> RunReport:
    return board.run(
        PROMPT, n_gen, epoch=1, on_token=lambda _index, _token: None, should_stop=lambda: False
    )


@pytest.mark.parametrize(
    ("fault", "code"), [("1:5", "hung"), ("4:5", "rebooted"), ("8:5", "hung")],
    ids=["hang", "reboot", "babble"],
)  # fmt: skip
def test_board_that_fails_mid_run(
    open_native: Callable[..., LinkBoard],
    small_model: ModelFile,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    code: str,
) -> None:
    """A board that hangs, reboots or babbles in a run is a board fault, soon."""
    monkeypatch.setattr(runs, "SILENCE_S", 0.3)
    board = open_native(f"uid=01&fault={fault}")
    load(board, small_model)

    with pytest.raises(BoardFault) as caught:
        run(board)
    assert caught.value.code == code


def test_board_that_runs_out_of_memory(
    open_native: Callable[..., LinkBoard], small_model: ModelFile
) -> None:
    """An allocation that fails on the board is the model's fault: it does not fit."""
    board = open_native("uid=01&fault=6:0")

    with pytest.raises(ModelError) as caught:
        load(board, small_model)
    assert caught.value.code == "no_memory"


@pytest.mark.parametrize("kind", ["drop", "flip", "repeat"])
def test_noise_never_makes_a_wrong_number(
    line: Line, options: OpenOptions, small_model: ModelFile, kind: str
) -> None:
    """A run on a line that loses, damages or repeats bytes is right, or a classed fault."""
    board = open_board(line.url, options)
    setattr(line, kind, 0.01)
    expected = Reference(small_model).greedy(PROMPT, 32, 64, KvType.F16)
    try:
        load(board, small_model)
        report = run(board)
    except Fault as fault:
        assert fault.fault_class.retryable  # noqa: PT017 - either outcome is right, a wrong one is not
    else:
        assert list(report.tokens) == expected
    finally:
        board.close()


def test_noisy_upload_arrives_whole(
    line: Line, options: OpenOptions, small_model: ModelFile
) -> None:
    """Lost and damaged frames are sent again until the hash is right."""
    board = open_board(line.url, options)
    line.drop = line.flip = 0.002

    load(board, small_model)
    line.drop = line.flip = 0.0

    assert board.stats().link["retransmits"] > 0
    assert list(run(board).tokens) == Reference(small_model).greedy(PROMPT, 32, 64, KvType.F16)
    board.close()


def test_upload_is_resumed(line: Line, options: OpenOptions, small_model: ModelFile) -> None:
    """An upload that was interrupted goes on where it stopped, also over a new connection."""
    board = open_board(line.url, options)
    done: list[int] = []
    with pytest.raises(Exception, match=r"^$"):
        load(
            board,
            small_model,
            lambda sent, _: done.append(sent),
            lambda: bool(done and done[-1] > 50_000),
        )
    board.close()

    board = open_board(line.url, options)
    again: list[int] = []
    load(board, small_model, lambda sent, _: again.append(sent))

    assert again[0] > 40_000
    board.close()


def test_line_that_is_cut(line: Line, options: OpenOptions, small_model: ModelFile) -> None:
    """A cable pulled in the middle is a link fault."""
    board = open_board(line.url, options)
    load(board, small_model)
    line.process.kill()
    line.drop = 1.0

    with pytest.raises((LinkFault, BoardFault)):
        run(board)
    board.close()
