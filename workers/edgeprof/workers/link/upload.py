"""Upload of a model: DATA frames inside the board's window, go-back-N (docs/link-protocol.md, section 5)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from edgeprof.shared.errors import LinkFault
from edgeprof.workers.link.client import LinkSession
from edgeprof.workers.link.framing import Kind, encode
from edgeprof.workers.link.messages import dump, get_uint

ACK_TIMEOUT_S = 1.0
ACK_TRIES = 8
#: A board that acknowledges, or says something else, and takes nothing in: longer than any noise that we get through.
STALL_S = 30.0
CHUNK_BYTES = 960  # of model in a DATA frame: fills a frame, with its CBOR head


def upload(
    session: LinkSession,
    data: bytes,
    start: int,
    window_bytes: int,
    on_progress: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> bool:
    """Stream data[start:], which the board has opened an UPLOAD for.

    Returns False when `should_stop` said so. Raises LinkFault "upload_stalled".
    """
    acked, sent = start, start
    in_flight: deque[tuple[int, int]] = deque()  # (offset after the frame, wire bytes)
    flying = silent = 0
    gone_back_at = session.data_seq  # the last frame sent before we last went back
    moved_s = time.monotonic()
    while acked < len(data):
        if should_stop():
            return False
        while sent < len(data):
            chunk = data[sent : sent + CHUNK_BYTES]
            session.data_seq = (session.data_seq + 1) & 0xFFFF
            frame = encode(Kind.DATA, session.data_seq, dump({1: sent, 2: chunk}))
            if flying and flying + len(frame) > window_bytes:
                break
            session.send(frame)
            sent += len(chunk)
            in_flight.append((sent, len(frame)))
            flying += len(frame)
        message = session.receive(ACK_TIMEOUT_S)
        silent = silent + 1 if message is None else 0
        if silent >= ACK_TRIES or time.monotonic() - moved_s > STALL_S:
            raise LinkFault(
                f"{session.name}: upload stands still at byte {acked} of {len(data)}",
                code="upload_stalled",
            )
        if message is not None:
            if message.kind is not Kind.ACK:
                continue
            position = get_uint(message.payload, 1, "upload position", len(data))
            if position > acked:
                acked, moved_s = position, time.monotonic()
                while in_flight and in_flight[0][0] <= acked:
                    flying -= in_flight.popleft()[1]
                on_progress(acked, len(data))
                continue
            if not _later(message.seq, gone_back_at):
                continue  # caused by a frame that we have sent again already: to do so once more feeds itself
        # Silence, or the same position again: the frames in flight are worthless, so back to what the board has.
        session.retransmits += len(in_flight)
        gone_back_at = session.data_seq
        sent, flying = acked, 0
        in_flight.clear()
    return True


def _later(seq: int, other: int) -> bool:
    """Whether a frame was sent after another one; numbers wrap at 65536."""
    return 0 < (seq - other) & 0xFFFF < 0x8000
