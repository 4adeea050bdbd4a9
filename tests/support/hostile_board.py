"""The host's end of the link against boards that send anything: an answer or a Fault, nothing else
escapes.

An input is a flow of the Board (its first byte), and what the board answers:

    input   :=  flow:u8 record* record  :=  head:u8 size:u16 bytes[size]        head := kind (low 3
    bits; 0: noise, not framed) | MORE

Each frame of the host gets one record, with the frame's own seq and a right CRC; MORE sends the
next one too. At its end the port is gone, so nothing here waits.
"""

from __future__ import annotations

import io
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast
from unittest import mock

import serial

from edgeprof.shared.errors import Fault
from edgeprof.shared.types.model import KvType
from edgeprof.workers.board.locks import BoardLock
from edgeprof.workers.link import connection
from edgeprof.workers.link.device import LinkBoard, OpenOptions
from edgeprof.workers.link.framing import MAX_PAYLOAD_BYTES, Kind, decode, encode

MORE, KIND = 0x80, 7
#: Any file of two frames: what is in it nobody looks at here.
MODEL = Path(__file__).resolve().parents[2] / "firmware" / "fuzz" / "corpus" / "gguf" / "f32"
PROMPT, N_GEN = (1, 2, 3), 4


def records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Cut an input's answers; a size beyond the end takes what is left."""
    at = 0
    while at + 3 <= len(data):
        head, size = data[at], int.from_bytes(data[at + 1 : at + 3], "little")
        yield head, data[at + 3 : at + 3 + size]
        at += 3 + size


class HostilePort:
    """A serial port, as far as LinkClient uses one."""

    def __init__(self, answers: bytes) -> None:
        self._records = records(answers)
        self._unread = b""

    def write(self, frame: bytes) -> None:
        """Answer a frame of the host."""
        sent = decode(frame.strip(b"\0"))
        assert sent is not None
        for head, content in self._records:
            kind = head & KIND
            if kind in set(Kind):
                content = encode(Kind(kind), sent.seq, content[:MAX_PAYLOAD_BYTES])  # noqa: PLW2901
            self._unread += content
            if not head & MORE:
                return

    def fileno(self) -> int:
        """Tell that there is no descriptor to wait on."""
        raise io.UnsupportedOperation

    @property
    def in_waiting(self) -> int:
        """Bytes that were answered, and not read yet."""
        return len(self._unread)

    def read(self, n: int) -> bytes:
        """Give what was answered; whoever waits for more learns that the port is gone."""
        if not self._unread:
            raise serial.SerialException("end of the input")
        got, self._unread = self._unread[:n], self._unread[n:]
        return got

    def close(self) -> None:
        """Do nothing: reset() opens it again."""


def _load(board: LinkBoard) -> object:
    return board.load(
        MODEL, "00" * 32, n_ctx=16, kv_type=KvType.F16, epoch=1,
        on_progress=lambda _done, _all: None, should_stop=lambda: False,
    )  # fmt: skip


def _run(board: LinkBoard) -> object:
    report = board.run(
        PROMPT, N_GEN, epoch=1, on_token=lambda _index, _token: None, should_stop=lambda: False
    )
    assert all(type(us) is int for us in report.step_us)  # no NaN among the results
    return report


def _score(board: LinkBoard) -> object:
    return board.score(PROMPT, epoch=1, should_stop=lambda: False)


FLOWS: dict[str, Callable[[LinkBoard], object]] = {
    "hello": lambda board: board.hello,
    "stats": lambda board: board.stats(),
    "clock": lambda board: board.clock(),
    "cancel": lambda board: board.cancel(1),
    "reset": lambda board: board.reset(),
    "load": _load,
    "run": _run,
    "score": _score,
}


def exchange(data: bytes) -> str:
    """Let the host talk to the board that `data` is; say in a few words how it ended. Raises what
    is a bug."""
    random.seed(0)  # the session's first seq and the run's id, which genuine answers repeat
    flow = list(FLOWS)[data[0] % len(FLOWS)] if data else "hello"
    at = "open"
    port = HostilePort(data[1:])
    options = OpenOptions(lock_dir=Path(), slot_dir=Path(), open_timeout_s=0.001)
    try:
        with mock.patch.object(connection, "open_port", return_value=port):
            board = LinkBoard("fuzz", options, cast("BoardLock", None))
            at = flow
            FLOWS[flow](board)
    except Fault as fault:
        code = re.sub(r"\d+", "#", fault.code)  # of an unknown error
        what = str(fault).rpartition(": ")[2] if code == "bad_reply" else ""
        return f"{at}: {type(fault).__name__} {code} {re.sub(r'[-0-9.]+', '#', what)}"
    return f"{at}: answered"
