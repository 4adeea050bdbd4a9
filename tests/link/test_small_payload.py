"""A board whose frames carry less than 1024 bytes: HELLO says so, and the host keeps to it."""

from __future__ import annotations

import cbor2
import pytest

from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference import Reference
from edgeprof.shared.types.model import KvType
from edgeprof.workers.link.device import OpenOptions, open_board
from edgeprof.workers.link.framing import Frame, Kind
from edgeprof.workers.link.messages.operations import Op
from tests.link.conftest import Line

SMALL_BYTES = 256
PROMPT = tuple(range(300, 500))
_MAX_PAYLOAD = 13


@pytest.fixture
def small_line(line: Line) -> tuple[Line, list[Frame]]:
    """A line whose board says that its frames carry 256 bytes; and what the host has sent."""
    sent: list[Frame] = []

    def shrink(frame: Frame) -> Frame:
        payload = cbor2.loads(frame.payload)
        if frame.kind is not Kind.RSP or payload[0] != Op.HELLO:
            return frame
        return Frame(frame.kind, frame.seq, cbor2.dumps({**payload, _MAX_PAYLOAD: SMALL_BYTES}))

    line.rewrite = shrink

    def note(frame: Frame) -> bool:
        sent.append(frame)
        return False

    line.rewrite, line.swallow = shrink, note
    return line, sent


def test_no_frame_is_longer_than_the_board_takes(
    small_line: tuple[Line, list[Frame]], options: OpenOptions, small_model: ModelFile
) -> None:
    """Upload and prompt go in pages that fit, and the run is as right as with long frames."""
    line, sent = small_line
    board = open_board(line.url, options)
    board.load(
        small_model.path, small_model.sha256, n_ctx=256, kv_type=KvType.F16, epoch=1,
        on_progress=lambda _done, _total: None, should_stop=lambda: False,
    )  # fmt: skip
    report = board.run(
        PROMPT, 8, epoch=1, on_token=lambda _index, _token: None, should_stop=lambda: False
    )
    board.close()

    assert max(len(frame.payload) for frame in sent) <= SMALL_BYTES
    assert {frame.kind for frame in sent} == {Kind.REQ, Kind.DATA}
    prompts = [f for f in sent if f.kind is Kind.REQ and cbor2.loads(f.payload)[0] == Op.PROMPT]
    assert len(prompts) > 1
    expected = Reference(small_model).greedy(PROMPT, 8, 256, KvType.F16)
    assert list(report.tokens) == expected
