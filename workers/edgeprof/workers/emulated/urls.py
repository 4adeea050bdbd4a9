"""URLs of emulated boards: which chip is meant, and the same board with another model slot."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from edgeprof.workers.emulated import protocol_rp2040js
from edgeprof.workers.emulated.protocol_labwired import CHIPS
from edgeprof.workers.emulated.protocol_qemu import MACHINES


def is_emulated(url: str) -> bool:
    """Whether the board is a process that we start."""
    return urlsplit(url).scheme in {"native", "qemu", "rp2040js", "labwired"}


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
    if parts.scheme == "rp2040js":
        return protocol_rp2040js.UPLOAD_BYTES_PER_S
    if parts.scheme == "labwired" and parts.netloc in CHIPS:
        return CHIPS[parts.netloc].upload_bytes_per_s
    machine = MACHINES.get(parts.netloc) if parts.scheme == "qemu" else None
    return None if machine is None else machine.upload_bytes_per_s
