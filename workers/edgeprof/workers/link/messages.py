"""CBOR payloads (docs/link-protocol.md, sections 2 and 4): small maps, checked before anybody reads them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import TypeVar, cast

import cbor2

from edgeprof.shared.errors import BoardFault, Fault, JobError, LinkFault, ModelError
from edgeprof.workers.link.subset import is_message

PROTOCOL = (1, 1)

Payload = Mapping[int, object]
_T = TypeVar("_T")


class Op(IntEnum):
    """Operations a board carries out."""

    HELLO = 1
    PING = 2
    BAUD = 3
    UPLOAD = 4
    VERIFY = 5
    LOAD = 6
    PROMPT = 7
    RUN = 8
    SCORE = 9
    RESULT = 10
    STATS = 11
    CANCEL = 12
    RESET = 13
    MEMTEST = 14
    IDENTIFY = 15
    FAULT = 64


class Event(IntEnum):
    """Progress a board tells of its own accord."""

    TOKEN = 1
    PREFILL = 2
    DONE = 3
    BOOT = 4


class RunState(IntEnum):
    """RESULT key 1."""

    RUNNING = 0
    DONE = 1
    CANCELLED = 2
    FAILED = 3


#: Error codes of section 8; the hundreds digit is the class.
ERROR_NAMES: Mapping[int, str] = {
    100: "bad_message",
    101: "unknown_op",
    102: "version",
    103: "offset",
    104: "hash_mismatch",
    105: "baud",
    200: "busy",
    201: "stale_epoch",
    202: "no_model",
    203: "internal",
    204: "no_run",
    205: "unsupported",
    300: "not_gguf",
    301: "truncated",
    302: "architecture",
    303: "tensor_type",
    304: "malformed",
    305: "missing",
    306: "no_memory",
    400: "bad_argument",
    401: "context",
    402: "token",
}
_CLASSES: Mapping[int, type[Fault]] = {1: LinkFault, 2: BoardFault, 3: ModelError, 4: JobError}


def dump(message: Mapping[int, object]) -> bytes:
    """Encode a map in CBOR's shortest form."""
    return cbor2.dumps(message, canonical=False)


def load(payload: bytes) -> Payload | None:
    """Decode one map of the protocol's subset; None when it is anything else."""
    if not is_message(payload):
        return None
    try:
        return cast("Payload", cbor2.loads(payload))
    except (cbor2.CBORDecodeError, ValueError):  # text that is not UTF-8
        return None


def get(message: Payload, key: int, kind: type[_T], what: str) -> _T:
    """Read a required key; a LinkFault that names it when it is missing or of another type."""
    value = message.get(key)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise LinkFault(f"the board's {what} is missing or malformed", code="bad_reply")
    return value


def get_uint(message: Payload, key: int, what: str, limit: int = 2**64 - 1) -> int:
    """Read a required unsigned integer not above `limit`."""
    value = get(message, key, int, what)
    if not 0 <= value <= limit:
        raise LinkFault(f"the board's {what} is out of range: {value}", code="bad_reply")
    return value


def get_text(message: Payload, key: int, what: str, limit: int) -> str:
    """Read a required text of at most `limit` characters, printable ones only."""
    value = get(message, key, str, what)
    if len(value) > limit or not value.isprintable():
        raise LinkFault(f"the board's {what} is not plain text", code="bad_reply")
    return value


def get_list(message: Payload, key: int, what: str, limit: int = 1024) -> list[object]:
    """Read a required array of at most `limit` items."""
    value = get(message, key, list, what)
    if len(value) > limit:
        raise LinkFault(f"the board's {what} has too many entries", code="bad_reply")
    return value


def get_map(value: object, what: str) -> Payload:
    """Check that a nested item is a map."""
    if not isinstance(value, Mapping):
        raise LinkFault(f"the board's {what} is not a map", code="bad_reply")
    return cast("Payload", value)


def version_fault(board: str, host: str) -> LinkFault:
    """Two ends that do not understand each other: named both, with what to do."""
    return LinkFault(
        f"the board speaks link protocol {board}, this host {host}",
        code="version",
        hint="flash firmware of this version, or upgrade this host",
    )


def fault_of(message: Payload) -> Fault:
    """Turn an ERR payload into the fault it tells of."""
    code = get_uint(message, 1, "error code", 65535)
    text = get_text(message, 2, "error message", 96)
    name = ERROR_NAMES.get(code, f"error_{code}")
    kind = _CLASSES.get(code // 100, BoardFault)
    requested = get_uint(message, 3, "requested number") if 3 in message else None
    available = get_uint(message, 4, "available number") if 4 in message else None
    if code == 102:
        return version_fault(str(requested), str(available))
    if code == 306:
        return kind(
            f"the board refuses: {text}: {requested} bytes requested, {available} available",
            code=name,
            requested_bytes=get_uint(message, 3, "requested bytes"),
            available_bytes=get_uint(message, 4, "available bytes"),
        )
    if requested or available:
        text += f" ({requested}, limit {available})"
    return kind(f"the board refuses: {text}", code=name)
