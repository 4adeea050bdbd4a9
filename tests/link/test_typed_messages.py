"""Every message class: what it writes it reads back, and what it cannot be is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.shared.errors import LinkFault
from edgeprof.workers.link.framing import MAX_PAYLOAD_BYTES
from edgeprof.workers.link.messages.codec import Message, Part, decode, encode, fields_of, name_of
from edgeprof.workers.link.messages.model import LoadRequest, UploadData
from edgeprof.workers.link.messages.payload import dump, load
from edgeprof.workers.link.messages.runs import PromptRequest, ResultReply
from edgeprof.workers.link.messages.wire_types import (
    Blob,
    Either,
    Flag,
    Float32,
    Items,
    Row,
    Signed,
    Text,
    Uint,
    WireType,
)
from tests.support.wire_messages import MESSAGES

_PRINTABLE = st.characters(codec="ascii", min_codepoint=32, max_codepoint=126)
_ANYTHING = st.recursive(
    st.integers(-(2**70), 2**70) | st.binary(max_size=40) | st.text(max_size=20)
    | st.booleans() | st.none() | st.floats(),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.integers(0, 9), inner, max_size=4),
    max_leaves=6,
)  # fmt: skip


def values(kind: WireType | None) -> st.SearchStrategy[Any]:
    """Whatever a wire type allows."""
    match kind:
        case None:
            return st.none()
        case Uint(size_bytes=size):
            return st.integers(0, 256**size - 1)
        case Signed():
            return st.integers(-(2**64), 2**64 - 1)
        case Flag():
            return st.booleans()
        case Float32():
            return st.floats(width=32, allow_nan=False)
        case Text(most_bytes=most):
            return st.text(_PRINTABLE, max_size=most)
        case Blob(least_bytes=least, most_bytes=most):
            return st.binary(min_size=least, max_size=most or 900)
        case Either(options=options):
            return st.one_of(*(values(option) for option in options))
        case Items(item=item, most=most):
            return st.lists(values(item), max_size=min(most or 8, 8)).map(tuple)
        case Row(make=make, places=places):
            return st.tuples(*(values(place) for _, place in places)).map(
                lambda items: make(*items)
            )
        case Part(message=message):
            return instances(message)
        case other:
            pytest.fail(f"no values for {other}")


def instances(message: type[Message]) -> st.SearchStrategy[Message]:
    """Any message of a class."""
    return st.builds(
        message,
        **{
            field.name: st.none() | values(field.wire_type)
            if field.key.optional
            else values(field.wire_type)
            for field in fields_of(message)
        },
    )


@pytest.mark.parametrize("name", sorted(MESSAGES))
@given(data=st.data())
def test_round_trip_through_bytes(name: str, data: st.DataObject) -> None:
    """A message that was encoded, sent as bytes and decoded is the same message."""
    message = data.draw(instances(MESSAGES[name]))

    payload = load(dump(encode(message)))

    assert payload is not None
    assert decode(type(message), payload) == message


@pytest.mark.parametrize("name", sorted(MESSAGES))
@given(payload=st.dictionaries(st.integers(0, 20), _ANYTHING, max_size=12))
def test_hostile_maps_are_a_message_or_a_link_fault(name: str, payload: dict[int, object]) -> None:
    """A map is a sound message, or a LinkFault that names the message."""
    message = MESSAGES[name]
    refused = None
    try:
        sound = decode(message, payload)
    except LinkFault as fault:
        refused = fault
    if refused is None:
        assert encode(sound).keys() - {0} <= payload.keys()
        return
    assert refused.code == "bad_reply"
    assert name_of(message) in str(refused)


@pytest.mark.parametrize("name", sorted(MESSAGES))
@given(data=st.data())
def test_a_wrong_value_is_named(name: str, data: st.DataObject) -> None:
    """One field that is missing or of another type: the fault names exactly that field."""
    message = MESSAGES[name]
    required = [field for field in fields_of(message) if not field.key.optional]
    if not required:
        return
    payload = dict(encode(data.draw(instances(message))))
    field = data.draw(st.sampled_from(required))
    if data.draw(st.booleans()):
        del payload[field.key.number]
    else:
        payload[field.key.number] = 1.5j  # nothing that CBOR has
    with pytest.raises(LinkFault) as refused:
        decode(message, payload)

    assert f"{name}.{field.name} " in str(refused.value)


def test_unknown_keys_are_ignored() -> None:
    """A newer minor version may tell more: what we know of it is read all the same."""
    request = LoadRequest(sha256=bytes(32), n_ctx=64, kv_type=1, epoch=3)

    assert decode(LoadRequest, {**encode(request), 99: "later"}) == request


def test_what_the_protocol_has_no_room_for_is_never_sent() -> None:
    """A request with a value beyond its limit is refused here, before the board sees it."""
    with pytest.raises(LinkFault, match=r"load-request\.kv_type is out of range: 256"):
        encode(LoadRequest(sha256=bytes(32), n_ctx=64, kv_type=256, epoch=3))
    with pytest.raises(LinkFault, match=r"load-request\.sha256 has a length"):
        encode(LoadRequest(sha256=b"short", n_ctx=64, kv_type=1, epoch=3))


def test_part_of_a_message_is_named_by_its_place() -> None:
    """A malformed entry in a list of a reply is named as the CDDL file names it."""
    reply = {1: 1, 2: 1, 3: 7, 4: 0, 5: 0, 6: [["no token", 5]], 7: 9}

    with pytest.raises(LinkFault, match=r"result-reply\.entries\.token is no integer"):
        decode(ResultReply, reply)


@pytest.mark.parametrize("limit", [256, 1024])
def test_heads_of_paged_messages_are_as_long_as_was_reckoned(limit: int) -> None:
    """The longest page of a prompt or an upload fits a frame of a board's size."""
    tokens = PromptRequest(offset=2**32 - 1, tokens=(2**32 - 1,) * ((limit - 13) // 5))
    chunk = UploadData(offset=2**32 - 1, content=bytes(limit - 64))

    assert len(dump(encode(tokens))) <= limit <= MAX_PAYLOAD_BYTES
    assert len(dump(encode(chunk))) <= limit
