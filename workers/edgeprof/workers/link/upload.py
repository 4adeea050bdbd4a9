"""Upload of a model: DATA frames inside the board's window, with go-back-N.

docs/link-protocol.md, section 5.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from edgeprof.shared.errors import LinkFault
from edgeprof.workers.link.client import LinkClient
from edgeprof.workers.link.framing import Kind
from edgeprof.workers.link.messages.codec import decode
from edgeprof.workers.link.messages.model import UploadAck, UploadData
from edgeprof.workers.link.messages.wire_types import malformed

ACK_TIMEOUT_S = 1.0
ACK_TRIES = 8
#: How long a board may talk and take nothing in: longer than any noise that we get through.
STALL_S = 30.0
#: What a DATA frame spares beside the model's bytes. CBOR's heads need 11 bytes; with the rest, two
#: frames of the usual 1024 bytes fit the usual window of 2 KiB.
_SPARED_BYTES = 64


def upload(
    client: LinkClient,
    data: bytes,
    start: int,
    window_bytes: int,
    on_progress: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> bool:
    """Stream data[start:], which the board has opened an UPLOAD for.

    Returns False when should_stop() ended it. Raises LinkFault "upload_stalled".
    """
    chunk_bytes = client.max_payload_bytes - _SPARED_BYTES
    acked, sent = start, start
    in_flight: deque[tuple[int, int]] = deque()  # (offset after the frame, wire bytes)
    flying = silent = 0
    gone_back_at = client.data_seq  # the last frame sent before we last went back
    moved_s = time.monotonic()
    while acked < len(data):
        if should_stop():
            return False
        while sent < len(data):
            chunk = data[sent : sent + chunk_bytes]
            frame = client.data_frame(UploadData(offset=sent, content=chunk))
            if flying and flying + len(frame) > window_bytes:
                break
            client.send(frame)
            sent += len(chunk)
            in_flight.append((sent, len(frame)))
            flying += len(frame)
        message = client.receive(ACK_TIMEOUT_S)
        silent = silent + 1 if message is None else 0
        if silent >= ACK_TRIES or time.monotonic() - moved_s > STALL_S:
            raise LinkFault(
                f"{client.name}: upload stands still at byte {acked} of {len(data)}",
                code="upload_stalled",
            )
        if message is not None:
            if message.kind is not Kind.ACK:
                continue
            position = decode(UploadAck, message.payload).next_offset
            if position > len(data):
                raise malformed("upload-ack.next_offset", f"is beyond the model: {position}")
            if position > acked:
                acked, moved_s = position, time.monotonic()
                while in_flight and in_flight[0][0] <= acked:
                    flying -= in_flight.popleft()[1]
                on_progress(acked, len(data))
                continue
            if not _later(message.seq, gone_back_at):
                # A frame that we have sent again already caused it: going back once more for it
                # would cause the next such ACK.
                continue
        # Silence, or the same position again: the board will take none of the frames in flight.
        client.retransmits += len(in_flight)
        gone_back_at = client.data_seq
        sent, flying = acked, 0
        in_flight.clear()
    return True


def _later(seq: int, other: int) -> bool:
    """Whether a frame was sent after another one; numbers wrap at 65536."""
    return 0 < (seq - other) & 0xFFFF < 0x8000
