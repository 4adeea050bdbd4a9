"""CBOR payloads from a board that may be broken or hostile."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.shared.errors import BoardFault, Fault, JobError, LinkFault, ModelError
from edgeprof.workers.link.hello import parse_hello, read_hello
from edgeprof.workers.link.messages.codec import decode
from edgeprof.workers.link.messages.errors import ErrorReply, fault_of
from edgeprof.workers.link.messages.operations import PROTOCOL
from edgeprof.workers.link.messages.payload import dump, load

plain = st.one_of(
    st.integers(0, 2**64 - 1),
    st.binary(max_size=40),
    st.text(max_size=20),
    st.booleans(),
    st.none(),
)


@given(st.binary(max_size=1100))
def test_any_bytes_are_a_map_or_nothing(payload: bytes) -> None:
    """Decoding any bytes gives a map of unsigned keys or None; it never raises."""
    message = load(payload)

    assert message is None or all(key >= 0 for key in message)


@given(st.dictionaries(st.integers(0, 100), plain, max_size=10))
def test_round_trip(message: dict[int, Any]) -> None:
    """What we encode, we decode."""
    assert load(dump(message)) == message


@pytest.mark.parametrize(
    "payload",
    [
        cbor2.dumps([1, 2]),
        cbor2.dumps({"a": 1}),
        cbor2.dumps({0: 1}) + b"\0",
        cbor2.dumps({0: [[[[[1]]]]]}),
        cbor2.dumps({0: cbor2.CBORTag(1, 5)}),
        cbor2.dumps({0: 2**64}),
        cbor2.dumps({0: cbor2.undefined}),
        cbor2.dumps({0: {"a": 1}}),
        bytes.fromhex("bb7fffffffffffffff"),
        bytes.fromhex("bf0001ff"),
        bytes.fromhex("a1005f4101ff"),
        bytes.fromhex("a10061ff"),
    ],
)
def test_what_is_not_a_plain_map_is_refused(payload: bytes) -> None:
    """Arrays, text keys, tails, deep nesting, tags, bignums, indefinite lengths and lying counts
    are none."""
    assert load(payload) is None


@pytest.mark.parametrize(
    ("code", "kind", "word"),
    [
        (104, LinkFault, "hash_mismatch"),
        (201, BoardFault, "stale_epoch"),
        (306, ModelError, "no_memory"),
        (401, JobError, "context"),
        (299, BoardFault, "error_299"),
    ],
)
def test_error_code_says_whose_fault_it_is(code: int, kind: type[Fault], word: str) -> None:
    """The hundreds digit of a board's error decides the fault class, for unknown codes too."""
    fault = fault_of(decode(ErrorReply, {0: 6, 1: code, 2: "too big", 3: 1000, 4: 10}))

    assert isinstance(fault, kind)
    assert fault.code == word
    assert "too big" in str(fault)


@pytest.mark.parametrize("number", ["\x1b[2J", -1, 2**64, True, [1]])
def test_error_numbers_are_numbers(number: Any) -> None:
    """A number in a board's error is a number, since it is printed: text could move a terminal's
    cursor."""
    with pytest.raises(LinkFault, match=r"error-reply\.requested is (no integer|out of range)"):
        raise fault_of(decode(ErrorReply, {0: 6, 1: 203, 2: "x", 3: number}))


def _many_of(item: bytes) -> bytes:
    return b"\x98" + bytes([100]) + item * 100


@pytest.mark.parametrize(
    "hostile",
    [
        b"\xa1\x00\x9a\x10\x00\x00\x00",
        b"\xa1\x00\x5b\x00\x00\x00\x10\x00\x00\x00\x00",
        b"\xa1\x00\xd8\x24\x61a",
        b"\xa4\x00\xd8\x1c" + _many_of(b"\x01") + b"\x01\xd8\x1c" + _many_of(b"\xd8\x1d\x00")
        + b"\x02\xd8\x1c" + _many_of(b"\xd8\x1d\x01") + b"\x03" + _many_of(b"\xd8\x1d\x02"),
    ],
    ids=["long array", "long bytes", "mail", "references to references"],
)  # fmt: skip
def test_a_kilobyte_takes_kilobytes(hostile: bytes) -> None:
    """A payload that announces, or refers to, more than it holds costs neither memory nor time."""
    started_s = time.process_time()
    tracemalloc.start()
    try:
        assert load(hostile) is None
        assert time.process_time() - started_s < 0.1
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()


@given(st.dictionaries(st.integers(0, 20), plain | st.lists(plain, max_size=4), max_size=20))
def test_hostile_hello_is_a_link_fault(reply: dict[int, Any]) -> None:
    """A HELLO of nonsense is refused in words, whatever it holds."""
    with pytest.raises(LinkFault):
        parse_hello(read_hello(reply), can_flash=False)


def test_other_version_is_named_by_both_ends() -> None:
    """Whichever end notices, the user reads both versions and what to do."""
    words = "this board speaks another major version"
    refused = fault_of(decode(ErrorReply, {0: 1, 1: 102, 2: words, 3: 2, 4: 1}))
    with pytest.raises(LinkFault) as noticed:
        read_hello({1: [2, 0]})

    mine = ".".join(map(str, PROTOCOL))
    assert str(refused) == "the board speaks link protocol 2, this host 1"
    assert str(noticed.value) == f"the board speaks link protocol 2.0, this host {mine}"
    assert refused.code == noticed.value.code == "version"
    assert refused.hint
