"""Frames: whatever comes in, either the very frame that was sent comes out, or nothing."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from edgeprof.workers.link.framing import MAX_PAYLOAD_BYTES, Decoder, Frame, Kind, encode

frames = st.builds(
    Frame,
    kind=st.sampled_from(Kind),
    seq=st.integers(0, 65535),
    payload=st.binary(max_size=MAX_PAYLOAD_BYTES),
)


def wire(frame: Frame) -> bytes:
    return encode(frame.kind, frame.seq, frame.payload)


@given(st.lists(frames, max_size=5), st.integers(1, 700))
def test_round_trip_however_the_stream_is_cut(sent: list[Frame], size: int) -> None:
    """Frames come out as they went in, wherever reads happen to cut the stream."""
    stream = b"".join(map(wire, sent))
    decoder = Decoder()

    received = [
        frame
        for at in range(0, len(stream), size)
        for frame in decoder.feed(stream[at : at + size])
    ]

    assert sent == received
    assert decoder.errors == 0


@given(st.binary(max_size=4000))
def test_any_bytes_are_survived(noise: bytes) -> None:
    """Noise never raises, and a frame after it is still understood."""
    decoder = Decoder()
    list(decoder.feed(noise))

    after = Frame(Kind.RSP, 7, b"\xa1\x00\x02")

    assert list(decoder.feed(wire(after)))[-1] == after


@given(frames, st.data())
def test_one_damaged_bit_is_never_another_message(frame: Frame, data: st.DataObject) -> None:
    """A frame with a flipped bit is dropped or, where the flip makes a zero, cut: never altered."""
    sent = bytearray(wire(frame))
    bit = data.draw(st.integers(8, 8 * len(sent) - 9))  # inside the delimiters
    sent[bit // 8] ^= 1 << bit % 8

    assert [f for f in Decoder().feed(bytes(sent)) if f != frame] == []


def test_noise_in_ten_thousand_frames_alters_none() -> None:
    """Every frame that survives random noise is one that was sent."""
    rng = random.Random(20261123)
    sent = [Frame(Kind.RSP, i, rng.randbytes(rng.randrange(60))) for i in range(10_000)]
    stream = bytearray(b"".join(map(wire, sent)))
    for _ in range(len(stream) // 100):
        stream[rng.randrange(len(stream))] ^= 1 << rng.randrange(8)
    decoder = Decoder()

    received = list(decoder.feed(bytes(stream)))

    assert set(received) <= set(sent)
    assert decoder.errors > 1000


def test_endless_frame_takes_no_memory() -> None:
    """A board that never ends a frame fills no memory, and is understood again after it does."""
    decoder = Decoder()
    for _ in range(100):
        list(decoder.feed(b"\x01" * 10_000))
    after = Frame(Kind.EVT, 1, b"\xa0")

    assert len(decoder._pending) < 10_000
    assert list(decoder.feed(b"\0" + wire(after))) == [after]
    assert decoder.errors == 1
