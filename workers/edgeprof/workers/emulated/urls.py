"""URLs of emulated boards: which chip is meant, and the same board with another model slot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from edgeprof.workers.emulated import (
    protocol_labwired,
    protocol_native,
    protocol_qemu,
    protocol_rp2040js,
)
from edgeprof.workers.emulated.child import ChildSerial

_HANDLERS: Final[Mapping[str, type[ChildSerial]]] = {
    "labwired": protocol_labwired.Serial,
    "native": protocol_native.Serial,
    "qemu": protocol_qemu.Serial,
    "rp2040js": protocol_rp2040js.Serial,
}


def is_emulated(url: str) -> bool:
    """Whether the board is a process that we start."""
    return urlsplit(url).scheme in _HANDLERS


def chip_of(url: str) -> str | None:
    """Return scheme, kind and uid of an emulated board: all its URLs have them in common."""
    if not is_emulated(url):
        return None
    parts = urlsplit(url)
    uid = next((part for part in parts.query.split("&") if part.startswith("uid=")), "")
    return f"{parts.scheme}://{parts.netloc}?{uid}"


def with_slot(url: str, slot: Path) -> str:
    """Return the URL of the same emulated board with another slot."""
    parts = urlsplit(url)
    query = [(k, v) for k, v in parse_qsl(parts.query) if k != "slot"]
    # not urlunsplit, which writes a scheme it does not know without its //
    return f"{parts.scheme}://{parts.netloc}?{urlencode([*query, ('slot', str(slot))], safe='/:')}"


def upload_bytes_per_s(url: str) -> int | None:
    """Return how fast the emulated UART takes a model in; None: too fast to matter."""
    parts = urlsplit(url)
    handler = _HANDLERS.get(parts.scheme)
    return None if handler is None else handler.upload_bytes_per_s(parts.netloc)
