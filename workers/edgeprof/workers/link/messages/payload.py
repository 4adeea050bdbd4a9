"""CBOR payloads (docs/link-protocol.md, section 2): bytes to a map of plain values, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import cbor2

from edgeprof.workers.link.cbor_subset import is_message

#: A message as CBOR holds it: values by key number. codec.py gives them names.
Payload = Mapping[int, object]


def dump(payload: Payload) -> bytes:
    """Encode a map in CBOR's shortest form."""
    return cbor2.dumps(payload, canonical=False)


def load(payload: bytes) -> Payload | None:
    """Decode one map of the protocol's subset; None when it is anything else."""
    if not is_message(payload):
        return None
    try:
        return cast("Payload", cbor2.loads(payload))
    except (cbor2.CBORDecodeError, ValueError):  # text that is not UTF-8
        return None
