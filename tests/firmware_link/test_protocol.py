"""The firmware's link, rule by rule of docs/link-protocol.md, under the sanitizers.

It is long because it follows the document from rule to rule.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeprof.shared.models import quantized
from edgeprof.shared.models.catalogue import resolve
from edgeprof.shared.types.model import Quantization
from tests.firmware_link.conftest import Chip
from tests.firmware_link.talk import (
    ACK,
    BAUD,
    CANCEL,
    CHECK,
    DATA,
    ERR,
    EVT,
    FAULT,
    FILL,
    HELLO,
    IDENTIFY,
    INVERT,
    LOAD,
    MEMTEST,
    PING,
    PROMPT,
    REQ,
    RESULT,
    RSP,
    RUN,
    SCORE,
    STATS,
    UPLOAD,
    VERIFY,
    frame,
    ready,
    upload,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("models")
    return quantized(resolve("shakespeare-240k"), Quantization.Q4_0, folder).data


def test_repeated_request_is_answered_not_repeated(chip: Callable[..., Chip], model: bytes) -> None:
    """The same frame again gives the remembered reply: RUN is not carried out a second time."""
    board = chip()
    ready(board, model)
    board.request({0: PROMPT, 1: 0, 2: [300, 301]})
    run = {0: RUN, 1: 5, 2: 4, 3: 1}
    first = board.request(run, seq=900)
    again = board.request(run, seq=900)
    other = board.request(run, seq=901)

    assert first == again == (RSP, {0: RUN, 1: 5})
    assert other[0] == RSP or other[1][1] == 200  # a new request runs again, or finds the run busy


def test_late_copy_of_a_request_is_dropped(chip: Callable[..., Chip], model: bytes) -> None:
    """A PROMPT that the line held back cannot change what the next RUN starts from; a new HELLO is
    heard."""
    board = chip()
    ready(board, model)
    board.request({0: PROMPT, 1: 0, 2: [300, 301]}, seq=900)
    second = board.request({0: PROMPT, 1: 2, 2: [302]}, seq=901)

    board.send(frame(REQ, 900, cbor2.dumps({0: PROMPT, 1: 0, 2: [300, 301]})))

    assert board.request({0: PROMPT, 1: 2, 2: [302]}, seq=901) == second
    assert board.request({0: PROMPT, 1: 3, 2: [303]}, seq=902) == (RSP, {0: PROMPT, 1: 4})
    assert board.request({0: HELLO, 1: 1, 2: 0}, seq=899)[0] == RSP
    assert board.request({0: PROMPT, 1: 4, 2: [304]}, seq=900) == (RSP, {0: PROMPT, 1: 5})


def test_done_is_not_dropped_when_nobody_reads(chip: Callable[..., Chip], model: bytes) -> None:
    """Tokens may be, when the ring is full; DONE waits for room."""
    board = chip()
    ready(board, model, n_ctx=256)
    board.request({0: PROMPT, 1: 0, 2: [300]})
    board.send(frame(REQ, 900, cbor2.dumps({0: RUN, 1: 5, 2: 250, 3: 1})))
    board.wait_until_quiet()

    events = [message for kind, _, message in board.frames(0.5) if kind == EVT]

    assert events[-1] == {0: 3, 1: 5, 2: 1}
    assert sum(event[0] == 1 for event in events) < 250


def test_damaged_frames_are_counted_and_dropped(chip: Callable[..., Chip]) -> None:
    """Noise, bad CRCs and bad stuffing get no answer, and STATS counts them."""
    board = chip()
    good = frame(REQ, 1, cbor2.dumps({0: PING, 1: 1}))
    for damaged in (good[:5] + b"\x55" + good[6:], b"\0\x05\x01\0", b"\0" + b"\x01" * 3000 + b"\0"):
        board.send(damaged)
    _, stats = board.request({0: STATS})

    assert stats[6][2] == 3


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({0: 99}, 101),
        ({0: HELLO}, 100),
        ({0: HELLO, 1: 9, 2: 0}, 102),
        ({0: UPLOAD, 1: b"short", 2: 5, 3: 1}, 100),
        ({0: UPLOAD, 1: bytes(32), 2: 0, 3: 1}, 400),
        ({0: UPLOAD, 1: bytes(32), 2: 2**31, 3: 1}, 306),
        ({0: VERIFY, 1: bytes(32)}, 202),
        ({0: LOAD, 1: bytes(32), 2: 64, 3: 1, 4: 1}, 202),
        ({0: LOAD, 1: bytes(32), 2: 64, 3: 7, 4: 1}, 400),
        ({0: LOAD, 1: bytes(32), 2: 2**20, 3: 1, 4: 1}, 401),
        ({0: PROMPT, 1: 0, 2: [1]}, 202),
        ({0: RUN, 1: 1, 2: 4, 3: 1}, 202),
        ({0: RUN, 1: 1, 2: 0, 3: 1}, 400),
        ({0: SCORE, 1: 1, 2: 1}, 202),
        ({0: RESULT, 1: 1, 2: 0, 3: 64}, 204),
        ({0: BAUD, 1: 31337}, 105),
        ({0: CANCEL}, 100),
        ({0: MEMTEST, 1: 0, 2: 0, 3: 64, 4: 0}, 100),
        ({0: MEMTEST, 1: 1, 2: 0, 3: 64, 4: 0, 5: 1}, 400),
        ({0: MEMTEST, 1: 0, 2: 0, 3: 64, 4: 3, 5: 1}, 400),
        ({0: MEMTEST, 1: 0, 2: 2, 3: 64, 4: 0, 5: 1}, 400),
        ({0: MEMTEST, 1: 0, 2: 0, 3: 6, 4: 0, 5: 1}, 400),
        ({0: MEMTEST, 1: 0, 2: 0, 3: 65540, 4: 0, 5: 1}, 400),
        ({0: MEMTEST, 1: 0, 2: 2**24, 3: 4, 4: 0, 5: 1}, 400),
        ({0: MEMTEST, 1: 0, 2: 2**32 - 4, 3: 8, 4: 0, 5: 1}, 400),
        ({0: IDENTIFY}, 100),
        ({0: IDENTIFY, 1: 60_001}, 400),
    ],
)
def test_errors_have_their_code(
    chip: Callable[..., Chip], message: dict[int, Any], code: int
) -> None:
    """Each way of asking wrongly is refused with the code the document gives it."""
    kind, reply = chip().request(message)

    assert (kind, reply[1]) == (ERR, code), reply
    assert reply[2]


def test_payload_that_is_no_map(chip: Callable[..., Chip]) -> None:
    """An intact frame whose payload is not a message is BAD_MESSAGE, not silence."""
    board = chip()
    board.send(frame(REQ, 7, b"\xff\xff"))
    kind, seq, reply = next(f for f in board.frames() if f[0] == ERR)

    assert (kind, seq, reply[1]) == (ERR, 7, 100)


def test_data_with_a_gap_is_told_once(chip: Callable[..., Chip], model: bytes) -> None:
    """Frames after a lost one are dropped, and one ACK says where to go back to."""
    board = chip()
    digest = hashlib.sha256(model).digest()
    board.request({0: UPLOAD, 1: digest, 2: len(model), 3: 1})
    for offset in (900, 1800, 2700):
        board.send(frame(DATA, 1, cbor2.dumps({1: offset, 2: model[offset : offset + 900]})))
    acks = [message for kind, _, message in board.frames(0.3) if kind == ACK]

    assert acks == [{1: 0, 2: acks[0][2]}]


def test_wrong_bytes_are_found_by_their_hash(chip: Callable[..., Chip], model: bytes) -> None:
    """An upload whose bytes are not what was announced is HASH_MISMATCH and starts anew."""
    board = chip()
    digest = hashlib.sha256(b"something else").digest()
    board.request({0: UPLOAD, 1: digest, 2: 900, 3: 1})
    board.send(frame(DATA, 1, cbor2.dumps({1: 0, 2: model[:900]})))
    next(f for f in board.frames() if f[0] == ACK)

    assert board.request({0: VERIFY, 1: digest})[1][1] == 104
    assert board.request({0: UPLOAD, 1: digest, 2: 900, 3: 1})[1][1] == 0


def test_busy_while_running(chip: Callable[..., Chip], model: bytes) -> None:
    """A board serves only PING, HELLO, STATS, RESULT, CANCEL and RESET in a run; cancel ends it."""
    board = chip()
    ready(board, model, n_ctx=256)
    board.request({0: PROMPT, 1: 0, 2: [300]})
    board.request({0: RUN, 1: 5, 2: 256, 3: 1})

    assert board.request({0: PROMPT, 1: 0, 2: [1]})[1][1] == 200
    assert board.request({0: PING, 1: 3})[0] == RSP
    assert board.request({0: CANCEL, 1: 1}) == (RSP, {0: CANCEL, 1: True})
    assert board.request({0: RESULT, 1: 5, 2: 0, 3: 0})[1][1] == 2


def test_older_epoch_is_refused_everywhere(chip: Callable[..., Chip], model: bytes) -> None:
    """An older lease can neither load, run nor cancel once a newer one has spoken."""
    board = chip()
    ready(board, model, epoch=9)

    for message in (
        {0: UPLOAD, 1: bytes(32), 2: 5, 3: 8},
        {0: LOAD, 1: bytes(32), 2: 64, 3: 1, 4: 8},
        {0: RUN, 1: 1, 2: 4, 3: 8},
        {0: SCORE, 1: 1, 2: 8},
        {0: CANCEL, 1: 8},
        {0: MEMTEST, 1: 0, 2: 0, 3: 4, 4: 0, 5: 8},
    ):
        assert board.request(message)[1][1] == 201


def memory_pass(board: Chip, number: int, offset: int = 0, size: int = 4096) -> dict[int, Any]:
    kind, reply = board.request({0: MEMTEST, 1: 0, 2: offset, 3: size, 4: number, 5: 1})
    assert kind == RSP, reply
    return reply


def test_good_memory_keeps_what_is_written(chip: Callable[..., Chip]) -> None:
    """All three passes find what the one before left, in the region's last word too."""
    board = chip("--ram", "8196")

    for number in (FILL, INVERT, CHECK):
        for offset, size in ((0, 8192), (8192, 4)):
            assert memory_pass(board, number, offset, size) == {0: MEMTEST, 1: True}


@pytest.mark.parametrize(("stuck_at", "found_by"), [(1, INVERT), (0, CHECK)])
def test_stuck_bit_is_found(chip: Callable[..., Chip], stuck_at: int, found_by: int) -> None:
    """A bit stuck at either value shows in one of the passes, with its address."""
    board = chip()
    board.request({0: FAULT, 1: 9, 2: 1024 + stuck_at})
    replies = {number: memory_pass(board, number) for number in (FILL, INVERT, CHECK)}

    bad = replies.pop(found_by)
    assert (bad[1], bad[2]) == (False, 1024)
    assert bad[3] ^ bad[4] == 1
    if found_by == CHECK:  # else the pass after it meets the words that the failed one left alone
        assert all(reply[1] for reply in replies.values())


def test_memory_that_was_not_filled_is_told_from_good(chip: Callable[..., Chip]) -> None:
    """The test looks at memory, not at what it means to write: passes in the wrong order fail."""
    board = chip()
    memory_pass(board, FILL)

    assert memory_pass(board, CHECK)[1] is False


def test_memory_test_drops_the_model(chip: Callable[..., Chip], model: bytes) -> None:
    """A memory test overwrites the model in RAM: HELLO shows none, and the board runs none."""
    board = chip()
    ready(board, model)
    memory_pass(board, FILL)

    assert board.request({0: HELLO, 1: 1, 2: 1})[1][17] is None
    assert board.request({0: PROMPT, 1: 0, 2: [1]})[1][1] == 202
    ready(board, model)


def test_peak_of_memory_is_that_of_the_loaded_model(
    chip: Callable[..., Chip], model: bytes
) -> None:
    """After a large model or context, a small one shows its own high-water mark."""
    board = chip()
    ready(board, model, n_ctx=256)
    (large, *_) = board.request({0: STATS})[1][5]
    ready(board, model, n_ctx=16)
    (small, *_) = board.request({0: STATS})[1][5]

    assert large[4] == large[5]
    assert small[4] == small[5] < large[5]


def test_memory_is_not_tested_under_a_run(chip: Callable[..., Chip], model: bytes) -> None:
    """The run keeps its memory."""
    board = chip()
    ready(board, model, n_ctx=256)
    board.request({0: PROMPT, 1: 0, 2: [300]})
    board.request({0: RUN, 1: 5, 2: 256, 3: 1})

    assert board.request({0: MEMTEST, 1: 0, 2: 0, 3: 4, 4: 0, 5: 1})[1][1] == 200


def test_board_blinks_and_stops_by_itself(chip: Callable[..., Chip]) -> None:
    """The native board's LED is its standard error."""
    board = chip("--uid", "c0ffee")
    assert board.request({0: IDENTIFY, 1: 600}) == (RSP, {0: IDENTIFY})

    assert board.process.stderr is not None
    lines = [board.process.stderr.readline().decode() for _ in range(4)]
    assert lines == ["tlep-native c0ffee: LED on\n", "tlep-native c0ffee: LED off\n"] * 2
    board.alive()


def test_blinking_can_be_ended(chip: Callable[..., Chip]) -> None:
    """IDENTIFY with 0 ends the blinking at once."""
    board = chip()
    board.request({0: IDENTIFY, 1: 60_000})
    board.request({0: IDENTIFY, 1: 0})

    assert board.process.stderr is not None
    lines = [board.process.stderr.readline().decode() for _ in range(2)]
    assert lines == ["tlep-native 00: LED on\n", "tlep-native 00: LED off\n"]
    board.alive()


def test_clock_fault_changes_its_speed(chip: Callable[..., Chip]) -> None:
    """Fault 10: the board's clock stands still, and goes again."""
    board = chip()
    board.request({0: FAULT, 1: 10, 2: 0})
    assert board.request({0: PING})[1][2] == 0
    board.request({0: FAULT, 1: 0})

    assert board.request({0: PING})[1][2] > 0


FUZZ = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
values = st.recursive(
    st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=64) | st.text(max_size=8) | st.booleans()
    | st.none() | st.floats(width=32),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.integers(0, 5), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


def test_hostile_messages_never_crash_it(chip: Callable[..., Chip], model: bytes) -> None:
    """A board answers any map that an intact frame carries, and stays whole (ASan, UBSan)."""
    board = chip()
    ready(board, model)

    @FUZZ
    @given(st.dictionaries(st.integers(1, 5), values, max_size=5), st.integers(1, 16))
    def attack(arguments: dict[int, Any], op: int) -> None:
        if op == 13:  # RESET is not an accident
            return
        kind, reply = board.request({0: op, **arguments})
        assert kind in {RSP, ERR}
        assert reply[0] == op or reply[1] == 100  # what is outside the subset names no operation

    attack()
    board.alive()


def test_hostile_bytes_never_crash_it(chip: Callable[..., Chip]) -> None:
    """Any bytes on the line, with or without frames around them, leave the board answering."""
    board = chip()

    @FUZZ
    @given(st.binary(max_size=3000), st.binary(max_size=1024), st.integers(0, 255))
    def attack(noise: bytes, payload: bytes, kind: int) -> None:
        board.send(noise)
        board.send(frame(kind, 3, payload))

    attack()
    board.send(b"\0")
    board.alive()


def test_hostile_models_never_crash_it(chip: Callable[..., Chip], model: bytes) -> None:
    """Mutated models are refused at LOAD with a 3xx code, or they run; nothing else."""
    board = chip()
    epoch = 0

    @settings(FUZZ, max_examples=25)
    @given(st.lists(st.tuples(st.integers(0, 16_000), st.integers(0, 255)), min_size=1, max_size=8))
    def attack(changes: list[tuple[int, int]]) -> None:
        nonlocal epoch
        epoch += 1
        mutated = bytearray(model[:40_000])
        for at, value in changes:
            mutated[at] = value
        digest = upload(board, bytes(mutated), epoch)
        kind, reply = board.request({0: LOAD, 1: digest, 2: 32, 3: 1, 4: epoch})
        assert kind == RSP or 300 <= reply[1] < 500, reply

    attack()
    board.alive()
