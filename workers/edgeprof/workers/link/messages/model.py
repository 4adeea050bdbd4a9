"""Messages that bring a model onto a board and make it ready to run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from edgeprof.workers.link.messages.codec import AtMost, Key, Message, Reply, Request
from edgeprof.workers.link.messages.operations import Op
from edgeprof.workers.link.messages.wire_types import U8, U32, U64, Blob, Name16, Sha256


@dataclass(frozen=True, slots=True)
class UploadReply(Reply):
    """Where the upload begins, or an earlier one stopped."""

    HEAD = Op.UPLOAD
    next_offset: Annotated[U32, Key(1)]


@dataclass(frozen=True, slots=True)
class UploadRequest(Request[UploadReply]):
    """Make room for a model in RAM, whose bytes follow as UploadData."""

    HEAD = Op.UPLOAD
    sha256: Annotated[Sha256, Key(1)]
    size_bytes: Annotated[U32, Key(2)]
    epoch: Annotated[U64, Key(3)]


@dataclass(frozen=True, slots=True)
class UploadData(Message):
    """A piece of the model (a DATA frame)."""

    offset: Annotated[U32, Key(1)]
    content: Annotated[bytes, Blob(), Key(2)]


@dataclass(frozen=True, slots=True)
class UploadAck(Message):
    """How far the board has taken the model in (an ACK frame)."""

    next_offset: Annotated[U32, Key(1)]
    credit_bytes: Annotated[U32, Key(2)]


@dataclass(frozen=True, slots=True)
class VerifyReply(Reply):
    """The uploaded bytes have the announced hash."""

    HEAD = Op.VERIFY
    size_bytes: Annotated[U32, Key(1)]


@dataclass(frozen=True, slots=True)
class VerifyRequest(Request[VerifyReply]):
    """Check the uploaded bytes."""

    HEAD = Op.VERIFY
    sha256: Annotated[Sha256, Key(1)]


@dataclass(frozen=True, slots=True)
class MemoryUse(Message):
    """What one category of a model's memory takes, and in which region."""

    category: Annotated[Name16, Key(1)]
    region: Annotated[Name16, Key(2)]
    used_bytes: Annotated[U32, Key(3)]


@dataclass(frozen=True, slots=True)
class LoadReply(Reply):
    """The model is ready to run."""

    HEAD = Op.LOAD
    load_us: Annotated[U64, Key(1)]
    where: Annotated[U8, Key(2)]
    memory: Annotated[tuple[MemoryUse, ...], AtMost(16), Key(3)]
    n_vocab: Annotated[U32, Key(4)]
    n_params: Annotated[U64, Key(5)]


@dataclass(frozen=True, slots=True)
class LoadRequest(Request[LoadReply]):
    """Make a model that the board holds ready to run."""

    HEAD = Op.LOAD
    sha256: Annotated[Sha256, Key(1)]
    n_ctx: Annotated[U32, Key(2)]
    kv_type: Annotated[U8, Key(3)]
    epoch: Annotated[U64, Key(4)]
