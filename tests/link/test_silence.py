"""A board that falls silent: in every phase the right class, in bounded time."""

from __future__ import annotations

import time

import cbor2
import pytest
from serial.urlhandler import protocol_loop as loop

from edgeprof.shared.errors import LinkFault
from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference import Reference
from edgeprof.shared.types.case import TestCase
from edgeprof.shared.types.job import JobSpec, Target
from edgeprof.shared.types.result import JobResult
from edgeprof.workers.link import client as link_client
from edgeprof.workers.link import upload
from edgeprof.workers.link.client import LinkClient, Received
from edgeprof.workers.link.device import LinkBoard, OpenOptions, open_board
from edgeprof.workers.link.framing import Frame, Kind
from edgeprof.workers.link.messages.operations import Op
from edgeprof.workers.profiling.profile_job import profile_job
from tests.link.conftest import Line


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's patience, a tenth of it or less."""
    monkeypatch.setattr(link_client, "FIRST_TIMEOUT_S", 0.05)
    monkeypatch.setattr(link_client, "MAX_TIMEOUT_S", 0.1)
    monkeypatch.setattr(link_client, "SLOW_TIMEOUT_S", 0.2)
    monkeypatch.setattr(link_client, "SLOW_TRIES", 3)
    monkeypatch.setattr(upload, "ACK_TIMEOUT_S", 0.05)


def dead_from(line: Line, op: Op | str) -> None:
    """Make the line swallow everything, both ways, from the first frame of an operation on."""

    def swallow(frame: Frame) -> bool:
        if (frame.kind, op) == (Kind.DATA, "DATA") or (
            frame.kind is Kind.REQ and cbor2.loads(frame.payload)[0] == op
        ):
            line.drop = 1.0
        return False

    line.swallow = swallow


def profile(board: LinkBoard, model: ModelFile) -> JobResult:
    spec = JobSpec(
        model=model.ref, target=Target(platform="native"), n_ctx=64, score=True,
        cases=(TestCase(prompt_tokens=(1, 400, 401), n_gen=4),),
    )  # fmt: skip
    return profile_job(
        board, spec, model.path, model, Reference(model), epoch=3, progress=lambda **_: None,
        should_stop=lambda: False, host="here", device_id="native-00",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("op", "code"),
    [
        (Op.PING, "silence"),
        (Op.CANCEL, "silence"),
        (Op.HELLO, "no_hello"),
        (Op.UPLOAD, "silence"),
        ("DATA", "upload_stalled"),
        (Op.VERIFY, "silence"),
        (Op.LOAD, "silence"),
        (Op.PROMPT, "silence"),
        (Op.RUN, "silence"),
        (Op.RESULT, "silence"),
        (Op.SCORE, "silence"),
        (Op.STATS, "silence"),
    ],
)
@pytest.mark.usefixtures("hasty")
def test_silence_in_a_phase(
    line: Line, options: OpenOptions, small_model: ModelFile, op: Op | str, code: str
) -> None:
    """Whichever request is the first that nobody answers, it is a link fault, soon."""
    quick = type(options)(lock_dir=options.lock_dir, slot_dir=options.slot_dir, open_timeout_s=0.5)
    board = open_board(line.url, quick)
    dead_from(line, op)
    started = time.monotonic()

    with pytest.raises(LinkFault) as caught:
        profile(board, small_model)

    assert caught.value.code == code
    assert time.monotonic() - started < 10
    board.close()


def test_board_that_talks_and_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events without end, and no acknowledgement among them, are an upload that stands still."""
    monkeypatch.setattr(upload, "STALL_S", 0.05)
    chatty = LinkClient(loop.Serial(), "board")
    monkeypatch.setattr(chatty, "send", lambda _frame: None)
    monkeypatch.setattr(chatty, "receive", lambda _timeout_s: Received(Kind.EVT, 1, {0: 2}))

    with pytest.raises(LinkFault) as caught:
        upload.upload(chatty, bytes(5000), 0, 2048, lambda _done, _total: None, lambda: False)
    assert caught.value.code == "upload_stalled"


@pytest.mark.parametrize("op", [Op.UPLOAD, Op.VERIFY, Op.LOAD])
@pytest.mark.usefixtures("hasty")
def test_one_lost_frame_costs_one_timeout(
    line: Line, options: OpenOptions, small_model: ModelFile, op: Op
) -> None:
    """A slow operation is asked for again long before its patience ends."""
    board = open_board(line.url, options)
    lost: list[int] = []

    def swallow(frame: Frame) -> bool:
        first = frame.kind is Kind.REQ and cbor2.loads(frame.payload)[0] == op and not lost
        if first:
            lost.append(frame.seq)
        return first

    line.swallow = swallow

    result = profile(board, small_model)

    assert lost
    assert result.load.how == "ram"
    board.close()
