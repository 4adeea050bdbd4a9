"""A board's refusals (docs/link-protocol.md, section 8), and the faults they are to a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from edgeprof.shared.errors import BoardFault, Fault, JobError, LinkFault, ModelError
from edgeprof.workers.link.messages.codec import Key, Message
from edgeprof.workers.link.messages.wire_types import U16, U32, Text, malformed

#: Error codes; the hundreds digit is the class.
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
_VERSION, _NO_MEMORY = 102, 306
_CLASSES: Mapping[int, type[Fault]] = {1: LinkFault, 2: BoardFault, 3: ModelError, 4: JobError}


@dataclass(frozen=True, slots=True)
class ErrorReply(Message):
    """What a board answers to a request that it refuses (an ERR frame)."""

    op: Annotated[U32, Key(0)]
    code: Annotated[U16, Key(1)]
    message: Annotated[str, Text(96), Key(2)]
    requested: Annotated[U32 | None, Key(3, optional=True)]
    available: Annotated[U32 | None, Key(4, optional=True)]


def version_fault(board: str, host: str) -> LinkFault:
    """Return the fault of two ends of different versions: both named, and what to do."""
    return LinkFault(
        f"the board speaks link protocol {board}, this host {host}",
        code="version",
        hint="edgeprof flash writes firmware of this host's version; or upgrade this host",
    )


def fault_of(error: ErrorReply) -> Fault:
    """Turn a board's refusal into the fault that it reports."""
    name = ERROR_NAMES.get(error.code, f"error_{error.code}")
    kind = _CLASSES.get(error.code // 100, BoardFault)
    if error.code == _VERSION:
        return version_fault(str(error.requested), str(error.available))
    if error.code == _NO_MEMORY:
        if error.requested is None or error.available is None:
            raise malformed("error-reply", "of NO_MEMORY names no number of bytes")
        return kind(
            f"the board refuses: {error.message}: {error.requested} bytes requested,"
            f" {error.available} available",
            code=name,
            requested_bytes=error.requested,
            available_bytes=error.available,
        )
    text = error.message
    if error.requested or error.available:
        text += f" ({error.requested}, limit {error.available})"
    return kind(f"the board refuses: {text}", code=name)
