"""What an attempt leaves on a board when it is stopped or loses the line: nothing that hurts the
next one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from gguf import GGMLQuantizationType

from edgeprof.shared.errors import LinkFault
from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference import Reference
from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.types.model import KvType
from edgeprof.shared.types.result import LoadResult, MemoryUse
from edgeprof.workers.board.protocols import Cancelled, RunReport
from edgeprof.workers.link import client as link_client
from edgeprof.workers.link.device import LinkBoard, OpenOptions, open_board
from edgeprof.workers.link.framing import Frame, Kind
from edgeprof.workers.link.messages.board import StatsRequest
from edgeprof.workers.link.messages.operations import Op
from tests.link.conftest import Line

PROMPT = (1, 400, 401)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers here on purpose, and not to wait for it."""
    monkeypatch.setattr(link_client, "FIRST_TIMEOUT_S", 0.05)
    monkeypatch.setattr(link_client, "SLOW_TIMEOUT_S", 0.2)
    monkeypatch.setattr(link_client, "SLOW_TRIES", 3)


@pytest.fixture(scope="module")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    """So big that a run is still going on when the board is opened again."""
    shape = SyntheticLlama(
        dim=256,
        hidden=1024,
        n_layers=4,
        n_vocab=512,
        n_ctx=4096,
        matrix_type=GGMLQuantizationType.Q4_0,
    )
    return ModelFile.open(shape.write(tmp_path_factory.mktemp("model") / "slow.gguf"))


def deaf_to(*ops: Any) -> Callable[[Frame], bool]:
    return lambda frame: frame.kind is Kind.REQ and cbor2.loads(frame.payload)[0] in ops


def load(
    board: LinkBoard, model: ModelFile, epoch: int
) -> tuple[LoadResult, tuple[MemoryUse, ...]]:
    return board.load(
        model.path, model.sha256, n_ctx=4096, kv_type=KvType.F16, epoch=epoch,
        on_progress=lambda _done, _total: None, should_stop=lambda: False,
    )  # fmt: skip


def run(
    board: LinkBoard,
    n_gen: int,
    epoch: int,
    on_token: Callable[[int, int], None] = lambda _index, _token: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> RunReport:
    return board.run(PROMPT, n_gen, epoch=epoch, on_token=on_token, should_stop=should_stop)


def works(board: LinkBoard, model: ModelFile, epoch: int) -> bool:
    """The next job on this board: loaded, run, and right."""
    load(board, model, epoch)
    expected = Reference(model).greedy(PROMPT, 8, 4096, KvType.F16)
    return list(run(board, 8, epoch).tokens) == expected


def test_stopped_run_is_ended_by_cancel(
    line: Line, options: OpenOptions, slow_model: ModelFile
) -> None:
    """CANCEL is enough for a board that hears it: no reset, the model stays."""
    board = open_board(line.url, options)
    load(board, slow_model, 1)
    boot_id = board.hello.boot_id

    with pytest.raises(Cancelled):
        run(board, 4000, 1, should_stop=lambda: True)

    assert works(board, slow_model, 2)
    assert board.hello.boot_id == boot_id
    board.close()


def test_board_that_does_not_hear_cancel_is_reset(
    line: Line, options: OpenOptions, slow_model: ModelFile
) -> None:
    """RESET frees it: the next job on this board works."""
    board = open_board(line.url, options)
    load(board, slow_model, 1)
    boot_id = board.hello.boot_id
    line.swallow = deaf_to(Op.CANCEL)

    with pytest.raises(Cancelled):
        run(board, 4000, 1, should_stop=lambda: True)

    assert board.hello.boot_id != boot_id
    line.swallow = None
    assert works(board, slow_model, 2)
    board.close()


def test_board_that_hears_neither_is_opened_afresh(
    line: Line, options: OpenOptions, slow_model: ModelFile
) -> None:
    """The stop ends as a link fault, for which the worker opens the board afresh; then it works."""
    board = open_board(line.url, options)
    load(board, slow_model, 1)
    line.swallow = deaf_to(Op.CANCEL, Op.RESET)

    with pytest.raises(LinkFault) as caught:
        run(board, 4000, 1, should_stop=lambda: True)
    assert caught.value.code == "silence"
    board.close()

    line.swallow = None
    board = open_board(line.url, options)
    assert works(board, slow_model, 2)
    board.close()


def test_run_of_a_lost_attempt_is_ended(
    line: Line, options: OpenOptions, slow_model: ModelFile
) -> None:
    """A run that goes on while its host is gone does not keep the board from the next one."""
    board = open_board(line.url, options)
    load(board, slow_model, 1)

    def leave(_index: int, _token: int) -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        run(board, 4000, 1, on_token=leave)
    board.close()

    board = open_board(line.url, options)
    assert board.connection.client.request(StatsRequest()).state == 1  # running
    assert works(board, slow_model, 2)
    board.close()


def test_upload_that_was_never_verified(
    line: Line, options: OpenOptions, slow_model: ModelFile
) -> None:
    """All bytes are there and the line broke before VERIFY: the next attempt verifies, and does not
    send again."""
    board = open_board(line.url, options)
    line.swallow = deaf_to(Op.VERIFY)
    with pytest.raises(LinkFault):
        load(board, slow_model, 1)
    board.close()

    line.swallow = None
    board = open_board(line.url, options)
    assert works(board, slow_model, 2)
    assert board.connection.client.counters["host_tx_bytes"] < 5000
    board.close()
