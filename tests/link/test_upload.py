"""Go-back-N: what makes the host send again, and what does not."""

from __future__ import annotations

import pytest
from serial.urlhandler import protocol_loop as loop

from edgeprof.workers.link.client import LinkClient, Received
from edgeprof.workers.link.framing import Kind
from edgeprof.workers.link.messages.codec import encode
from edgeprof.workers.link.upload import upload
from tests.link.wire_samples import HELLO


def test_acks_of_frames_sent_again_are_no_reason_to_go_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each frame behind a lost one may cause an ACK of the same position: the host goes back
    once."""
    client = LinkClient(loop.Serial(), "board")
    sent: list[bytes] = []
    # frame 1 is lost; 2, 3 and 4 are told of, one after the other; then what was sent again arrives
    acks = [(2, 0), (3, 0), (4, 0), (5, 960), (8, 3000)]
    monkeypatch.setattr(client, "send", sent.append)
    monkeypatch.setattr(
        client, "receive", lambda _timeout_s: Received(Kind.ACK, *_ack(acks.pop(0)))
    )

    assert upload(client, bytes(3000), 0, 8192, lambda _done, _total: None, lambda: False)

    assert len(sent) == 8
    assert client.retransmits == 4


def _ack(numbers: tuple[int, int]) -> tuple[int, dict[int, int]]:
    seq, position = numbers
    return seq, {1: position, 2: 8192}


def test_hello_is_asked_again_when_a_remembered_reply_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A new host may happen to draw the number of the board's last reply, which was to something
    else."""
    client = LinkClient(loop.Serial(), "board")
    replies = [{0: 2, 1: 7}, encode(HELLO)]
    monkeypatch.setattr(client, "send", lambda _frame: None)
    monkeypatch.setattr(
        client, "receive", lambda _timeout_s: Received(Kind.RSP, client._seq, replies.pop(0))
    )

    assert client.hello(1.0) == HELLO
