"""A GGUF's header, parsed from bytes that may be hostile.

The `gguf` package's reader trusts the counts, lengths and offsets in a file, so a damaged file ends
there in a traceback or in gigabytes of memory. This parser checks every number against the bytes
that are there. Layout: docs of ggml, summarised in firmware/core/model/gguf.h.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from reprlib import repr as short_repr
from typing import Final

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models import file_signatures, text_damage
from edgeprof.shared.models.gguf_values import COPY_AGAIN, Cursor, Value, malformed, read_value
from edgeprof.shared.models.rules import (
    ALIGNMENT,
    MAX_KEY_BYTES,
    MAX_KV,
    MAX_NAME_BYTES,
    MAX_TENSORS,
)
from edgeprof.shared.models.tensor_types import TENSOR_TYPES, layout, type_name
from edgeprof.shared.types.model import Quantization

MAGIC = b"GGUF"
#: Version 3 differs from 2 only in that it may be big-endian, too.
VERSIONS: Final = (2, 3)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor is. `ne` is in ggml's order: ne[0] is the contiguous row length."""

    name: str
    ggml_type: int
    #: None where no board has a kernel for it.
    quantization: Quantization | None
    ne: tuple[int, ...]
    offset: int  # from the start of the file
    n_bytes: int

    @property
    def type_name(self) -> str:
        """ggml's name of the type."""
        return type_name(self.ggml_type)

    @property
    def n_elements(self) -> int:
        """Number of weights."""
        return math.prod(self.ne)

    @property
    def rows(self) -> int:
        """Number of rows of ne[0] elements."""
        return self.n_elements // self.ne[0]


@dataclass(frozen=True, slots=True)
class Header:
    """Everything before the weights."""

    metadata: Mapping[str, Value]
    tensors: Mapping[str, TensorInfo]
    alignment: int
    version: int = 3


def parse(data: memoryview) -> Header:
    """Parse and check a whole file; raises ModelError and nothing else."""
    try:
        header, end = _parse(data)
    except ModelError as error:
        if error.code != "not_gguf":
            _check_text_damage(data)
        raise
    if len(data) > end + header.alignment:
        _check_text_damage(data)  # bytes added among the weights shift all later ones
    return header


def _check_text_damage(data: memoryview) -> None:
    how = text_damage.describe(bytes(data))
    if how:
        raise ModelError(
            f"damaged by a transfer or an editor that took it for text: {how}",
            code="mangled",
            hint=f"{COPY_AGAIN} (Git: mark *.gguf as binary in .gitattributes)",
        )


def _parse(data: memoryview) -> tuple[Header, int]:
    """Return the header, and where the last tensor ends."""
    cursor = Cursor(data)
    if bytes(data[:4]) != MAGIC:
        raise file_signatures.explain(bytes(data[: file_signatures.HEAD_BYTES]), len(data))
    cursor.take(4, "the magic")
    version = cursor.uint("<I", "version", 2**32 - 1)
    if version not in VERSIONS:
        raise _other_version(version)
    n_tensors = cursor.uint("<Q", "number of tensors", MAX_TENSORS)
    n_kv = cursor.uint("<Q", "number of metadata keys", MAX_KV)
    metadata: dict[str, Value] = {}
    for _ in range(n_kv):
        key = cursor.ascii("a metadata key", MAX_KEY_BYTES)
        if not key:
            raise malformed("a metadata key has no name")
        if key in metadata:
            raise malformed(f"key {key!r} occurs twice")
        metadata[key] = read_value(cursor, f"value of {key!r}")
    alignment = _alignment(metadata)
    infos = [_tensor_info(cursor) for _ in range(n_tensors)]
    data_start = -(-cursor.at // alignment) * alignment
    tensors: dict[str, TensorInfo] = {}
    for name, ggml_type, ne, offset in infos:
        if name in tensors:
            raise malformed(f"tensor {name!r} occurs twice")
        tensors[name] = _placed(name, ggml_type, ne, offset, data_start, alignment)
    end = _check_places(tensors, len(data))
    return Header(metadata, tensors, alignment, version), end


def _other_version(version: int) -> ModelError:
    if version & 0xFFFF == 0 and version >> 24 in VERSIONS:
        return ModelError(
            "a big-endian GGUF (as for IBM Z); boards and this host are little-endian",
            code="big_endian",
            hint="gguf-convert-endian FILE little (of the Python package gguf) rewrites the file",
        )
    if version == 1:
        return ModelError(
            "GGUF version 1, of August 2023, which llama.cpp does not read either",
            code="version",
            hint="convert the original model with llama.cpp's convert_hf_to_gguf.py",
        )
    known = " and ".join(map(str, VERSIONS))
    return ModelError(
        f"GGUF version {version} is not known, only {known}",
        code="version",
        hint="is the file damaged? Else this edgeprof is older than the file: update it",
    )


def _alignment(metadata: Mapping[str, Value]) -> int:
    value = metadata.get(ALIGNMENT.key, Value(4, 32)).value
    if (
        type(value) is not int
        or not ALIGNMENT.low <= value <= ALIGNMENT.high
        or value & (value - 1)
    ):
        raise malformed(
            f"alignment {short_repr(value)} is not a power of two from {ALIGNMENT.low} to"
            f" {ALIGNMENT.high}"
        )
    return value


def _tensor_info(cursor: Cursor) -> tuple[str, int, tuple[int, ...], int]:
    name = cursor.ascii("a tensor name", MAX_NAME_BYTES)
    n_dims = cursor.uint("<I", f"dimensions of {name!r}", 4)
    ne = tuple(cursor.uint("<Q", f"a dimension of {name!r}", 2**31 - 1) for _ in range(n_dims))
    ggml_type = cursor.uint("<I", f"type of {name!r}", 2**32 - 1)
    offset = cursor.uint("<Q", f"offset of {name!r}", 2**63)
    if not ne or 0 in ne or math.prod(ne) > 2**40:
        raise malformed(f"tensor {name!r} has dimensions {list(ne)}")
    while len(ne) > 1 and ne[-1] == 1:
        ne = ne[:-1]  # a dimension of 1 changes nothing
    return name, ggml_type, ne, offset


def _placed(
    name: str,
    ggml_type: int,
    ne: tuple[int, ...],
    offset: int,
    data_start: int,
    alignment: int,
) -> TensorInfo:
    known = layout(ggml_type)
    if known is None:
        raise ModelError(
            f"tensor {name!r} is of ggml type {type_name(ggml_type)},"
            " whose weights nobody here can read",
            code="tensor_type",
            hint="make a file of a common type of the original model, e.g. F16 or Q8_0",
        )
    block, block_bytes = known
    if ne[0] % block:
        raise malformed(f"rows of {name!r} have {ne[0]} elements, not a multiple of {block}")
    n_bytes = math.prod(ne) // block * block_bytes
    if offset % alignment:
        raise malformed(f"tensor {name!r} is at offset {offset}, not a multiple of {alignment}")
    quantization = TENSOR_TYPES[ggml_type][0] if ggml_type in TENSOR_TYPES else None
    return TensorInfo(name, ggml_type, quantization, ne, data_start + offset, n_bytes)


def _check_places(tensors: Mapping[str, TensorInfo], size: int) -> int:
    """Check that tensors lie inside the file and apart; return where the last one ends."""
    end, before = 0, ""
    for info in sorted(tensors.values(), key=lambda t: t.offset):
        if info.offset < end:
            raise malformed(f"tensors {before!r} and {info.name!r} overlap")
        end, before = info.offset + info.n_bytes, info.name
    if end > size:
        raise ModelError(
            f"truncated: {end - size:,} bytes of {end:,} are missing; the file has {size:,}",
            code="truncated",
            hint=COPY_AGAIN,
        )
    return end
