"""A slow board is not a dead board: late answers count, and it answers while it hashes its slot."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import cbor2
import pytest

from edgeprof.shared.errors import BoardFault
from edgeprof.shared.models import ModelFile
from edgeprof.workers.board.flash import write_slot
from edgeprof.workers.emulated.child import firmware_image
from edgeprof.workers.link.device import OpenOptions, open_board
from edgeprof.workers.link.framing import Decoder, Frame, Kind, encode
from edgeprof.workers.link.messages.operations import PROTOCOL, Op
from tests.link.conftest import Line

UNHASHED = 20  # its key in HELLO's reply


def is_hello(frame: Frame) -> bool:
    return frame.kind is Kind.RSP and cbor2.loads(frame.payload)[0] == Op.HELLO


def test_an_answer_later_than_the_next_question_counts(line: Line, options: OpenOptions) -> None:
    """A board that needs longer than the host's 250 ms for a HELLO is met nevertheless."""
    replies: list[Frame] = []

    def late(frame: Frame) -> Frame:
        if is_hello(frame) and len(replies) < 3:
            replies.append(frame)
            return replies[0] if len(replies) == 3 else Frame(Kind.EVT, 0, cbor2.dumps({0: 99}))
        return frame

    line.rewrite = late
    board = open_board(line.url, options)
    board.close()

    assert len({reply.seq for reply in replies}) == 3


def told(lefts: list[int]) -> Callable[[Frame], Frame]:
    """Let HELLOs say so many bytes of a slot are not hashed, one after the other; then the last."""

    def rewrite(frame: Frame) -> Frame:
        if not is_hello(frame):
            return frame
        left = lefts.pop(0) if len(lefts) > 1 else lefts[0]
        reply = cbor2.loads(frame.payload) | {UNHASHED: left}
        return Frame(frame.kind, frame.seq, cbor2.dumps(reply))

    return rewrite


def test_host_waits_until_the_slot_is_hashed(line: Line, options: OpenOptions) -> None:
    """It knows a board only when the board knows its flash."""
    lefts = [3000, 2000, 1000, 0]
    line.rewrite = told(lefts)

    open_board(line.url, options).close()

    assert lefts == [0]


def test_board_that_restarted_unseen_is_waited_for(line: Line, options: OpenOptions) -> None:
    """Its slot may not be hashed yet: taken for empty, it would be written once more."""
    board = open_board(line.url, options)
    lefts = [3000, 2000, 0]
    line.rewrite = told(lefts)

    board.connection.refresh_hello()
    board.close()

    assert lefts == [0]


def test_hash_that_stands_still_is_the_boards_fault(line: Line, options: OpenOptions) -> None:
    """No wait is without an end, and the error says how far it was."""
    line.rewrite = told([3000, 2000])

    with pytest.raises(BoardFault, match="2000 bytes before the end") as caught:
        open_board(line.url, dataclasses.replace(options, open_timeout_s=0.3))
    assert caught.value.code == "hash_stalled"


def test_board_answers_before_its_slot_is_hashed(small_model: ModelFile, tmp_path: Path) -> None:
    """Its first HELLO names no model and what is left to hash; a later one names the model."""
    slot = write_slot(small_model.path, small_model.sha256, tmp_path)
    ours, theirs = socket.socketpair()
    ours.settimeout(10)

    def ask(seq: int) -> None:
        ours.sendall(encode(Kind.REQ, seq, cbor2.dumps({0: Op.HELLO, 1: PROTOCOL[0], 2: 0})))

    ask(1)
    command = [str(firmware_image("tlep-native", "native")), "--fd", str(theirs.fileno())]
    board = subprocess.Popen([*command, "--slot", str(slot)], pass_fds=(theirs.fileno(),))
    theirs.close()
    decoder, hellos = Decoder(), list[dict[int, object]]()
    try:
        while not hellos or hellos[-1][UNHASHED]:
            for frame in filter(is_hello, decoder.feed(ours.recv(4096))):
                hellos.append(cbor2.loads(frame.payload))
                ask(len(hellos) + 1)
    finally:
        board.kill()
        board.wait()
        ours.close()

    assert (hellos[0][16], hellos[0][UNHASHED]) == (None, small_model.path.stat().st_size)
    assert hellos[-1][16] == {1: bytes.fromhex(small_model.sha256), 2: hellos[0][UNHASHED]}
