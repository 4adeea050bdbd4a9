"""From a message class to a CBOR payload and back, checked field by field.

A message is a dataclass; the annotation of a field holds its key and its wire type:

    n_ctx: Annotated[U32, Key(2)]

A receiver ignores keys that it does not know: that is how minor versions of the protocol grow.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Generic,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from edgeprof.workers.link.messages.operations import Event, Op
from edgeprof.workers.link.messages.payload import Payload
from edgeprof.workers.link.messages.wire_types import (
    Either,
    Flag,
    Float32,
    Items,
    Row,
    WireType,
    malformed,
)

#: Key 0 names the operation or the event; a class has it as HEAD.
HEAD_KEY: Final = 0


@dataclass(frozen=True, slots=True)
class Key:
    """A field's number in its map. An optional field may be absent, and is None then."""

    number: int
    optional: bool = False


@dataclass(frozen=True, slots=True)
class AtMost:
    """How many items an array may have."""

    count: int


class Message:
    """A map with named fields: a whole payload, or a part of one."""

    __slots__ = ()
    #: The operation or event that key 0 names; None in messages without a fixed one.
    HEAD: ClassVar[Op | Event | None] = None


class Reply(Message):
    """What a board answers to a request that it has carried out."""

    __slots__ = ()


ReplyT = TypeVar("ReplyT", bound=Reply)
MessageT = TypeVar("MessageT", bound=Message)


class Request(Message, Generic[ReplyT]):
    """What a host asks for. The type in brackets is the reply it gets."""

    __slots__ = ()
    HEAD: ClassVar[Op]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message class, as its annotation describes it."""

    name: str
    key: Key
    wire_type: WireType


def fields_of(message: type[Message]) -> tuple[Field, ...]:
    """Return the fields of a message class in the order of its declaration."""
    return _fields_of(cast("Any", message))


@cache
def _fields_of(message: type[Message]) -> tuple[Field, ...]:
    found = []
    for name, hint in get_type_hints(message, include_extras=True).items():
        if get_origin(hint) is ClassVar:
            continue
        _, *notes = get_args(hint)
        key = next(note for note in notes if isinstance(note, Key))
        found.append(Field(name, key, _wire_type(_present(hint) if key.optional else hint)))
    return tuple(found)


def reply_of(request: type[Request[ReplyT]]) -> type[ReplyT]:
    """Return the class of a request's reply."""
    (base,) = cast("Any", request).__orig_bases__
    (reply,) = get_args(base)
    return cast("type[ReplyT]", reply)


def name_of(message: type[Message]) -> str:
    """Return a message's name in docs/link-protocol.cddl: LoadRequest is load-request."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", message.__name__).lower()


def encode(message: Message) -> Payload:
    """Check a message and return its map. Raises LinkFault that names message and field."""
    payload: dict[int, object] = {} if message.HEAD is None else {HEAD_KEY: int(message.HEAD)}
    for field in fields_of(type(message)):
        value = getattr(message, field.name)
        if value is not None or not field.key.optional:
            where = f"{name_of(type(message))}.{field.name}"
            payload[field.key.number] = field.wire_type.write(value, where)
    return payload


def decode(message: type[MessageT], payload: Payload) -> MessageT:
    """Check a map and return it as a message. Raises LinkFault that names message and field.

    Key 0 is not looked at: whoever knows which message this is has looked at it already.
    """
    values: dict[str, object] = {}
    for field in fields_of(message):
        where = f"{name_of(message)}.{field.name}"
        if field.key.number in payload:
            values[field.name] = field.wire_type.read(payload[field.key.number], where)
        elif field.key.optional:
            values[field.name] = None
        else:
            raise malformed(where, "is missing")
    return message(**values)


@dataclass(frozen=True)
class Part(WireType):
    """A map inside a message."""

    message: type[Message]

    def read(self, item: object, where: str) -> Message:
        """Return the map as its class."""
        if not isinstance(item, Mapping):
            raise malformed(where, "is no map")
        return decode(self.message, item)

    def write(self, value: object, where: str) -> Payload:
        """Return the part's own map."""
        if not isinstance(value, self.message):
            raise malformed(where, f"is no {name_of(self.message)}")
        return encode(value)


def _present(hint: Any) -> Any:
    """Return an optional field's annotation without `| None`."""
    bare, *notes = get_args(hint)
    (kind,) = (option for option in get_args(bare) if option is not type(None))
    for note in notes:
        kind = Annotated[kind, note]
    return kind


def _wire_type(hint: Any) -> WireType:
    """Return the wire type of an annotation."""
    notes: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *rest = get_args(hint)
        notes = tuple(rest)
    for note in notes:
        if isinstance(note, WireType):
            return note
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        return Either(tuple(None if a is type(None) else _wire_type(a) for a in arguments))
    if origin is tuple:
        limit = next((note.count for note in notes if isinstance(note, AtMost)), None)
        return Items(_wire_type(arguments[0]), limit)
    if hint is bool:
        return Flag()
    if hint is float:
        return Float32()
    if issubclass(hint, Message):
        return Part(hint)
    places = get_type_hints(hint, include_extras=True)
    return Row(hint, hint.__name__, tuple((n, _wire_type(kind)) for n, kind in places.items()))
