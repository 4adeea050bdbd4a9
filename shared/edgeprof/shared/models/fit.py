"""Whether a model fits a board, with the sum: the firmware's own rule (docs/arithmetic.md, 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edgeprof.shared.models.shape import LlamaShape
from edgeprof.shared.types.board import MemoryRegion
from edgeprof.shared.types.model import KvType
from edgeprof.shared.types.profile import ModelDimensions

#: Positions of a prompt that a board takes through a layer together, if it does (TLEP_BATCH in
#: firmware/core/kernels/kernels.h).
BATCH: Final = 4
#: What it leaves free then, for a profile or the timing of a kernel.
_KEPT_FREE_BYTES = 16 << 10
_ALIGNMENT = 16
_UPLOAD_ALIGNMENT = 32


def _up(n: int, to: int = _ALIGNMENT) -> int:
    return -(-n // to) * to


def kv_bytes(s: LlamaShape | ModelDimensions, n_ctx: int, kv_type: KvType) -> int:
    """Return the bytes of the KV cache: two halves, keys and values."""
    element = 2 if kv_type is KvType.F16 else 4
    return 2 * _up(s.n_layers * n_ctx * s.kv_dim * element)


def activation_bytes(s: LlamaShape | ModelDimensions, n_ctx: int, batch: int = 1) -> int:
    """Return the bytes of everything else that the forward pass writes.

    `batch` positions of a prompt at a time: a model fits by those of one, and a board that can do
    more takes more only where there is room.
    """
    widest = max(s.dim, s.hidden)
    blocks = -(-widest // 32)
    packed = _up(batch * (2 * widest + 8 * blocks)) if batch > 1 else 0
    return (
        _up(72 * s.n_layers)
        + 3 * _up(4 * batch * s.dim)
        + 2 * _up(4 * batch * s.kv_dim)
        + 2 * _up(4 * batch * s.hidden)
        + _up(8 * n_ctx)
        + _up(4 * (s.rope_dim // 2))
        + _up(4 * batch * s.rope_dim)
        + _up(4 * s.n_vocab)
        + _up(2 * widest)
        + 2 * _up(4 * blocks)
        + packed
    )


def has_room_for_batches(
    s: LlamaShape | ModelDimensions, n_ctx: int, kv_type: KvType, ram: Mapping[str, int]
) -> bool:
    """Return whether a board with so many free bytes of RAM takes a prompt in batches."""
    free = dict(ram)
    half = kv_bytes(s, n_ctx, kv_type) // 2
    for n_bytes in (half, half, activation_bytes(s, n_ctx, BATCH)):
        name = next((name for name in free if n_bytes <= free[name]), None)
        if name is None:
            return False
        free[name] -= n_bytes
    return max(free.values()) >= _KEPT_FREE_BYTES


@dataclass(frozen=True, slots=True)
class Placement:
    """One block of memory, and its region; None when no region has room."""

    what: str
    n_bytes: int
    region: str | None


@dataclass(frozen=True, slots=True)
class FitReport:
    """All blocks of a model and their regions."""

    placements: tuple[Placement, ...]
    regions: tuple[MemoryRegion, ...]

    @property
    def fits(self) -> bool:
        """Whether every block has a place."""
        return all(placement.region is not None for placement in self.placements)

    def explain(self) -> str:
        """Return one line: the needed blocks, their places if they fit, and the board's regions."""
        need = " + ".join(
            f"{p.what} {p.n_bytes} B ({p.region or 'NO ROOM'})" for p in self.placements
        )
        total = sum(p.n_bytes for p in self.placements)
        have = ", ".join(
            f"{r.name} {r.available_bytes} of {r.total_bytes} B"
            for r in self.regions
            if r.kind != "stack"
        )
        stack = sum(r.total_bytes for r in self.regions if r.kind == "stack")
        kept = f"stack {stack} B and firmware" if stack else "stack and firmware"
        return f"{need} = {total} B; free for models: {have} ({kept} taken off)"


def fit(
    s: LlamaShape,
    size_bytes: int,
    n_ctx: int,
    kv_type: KvType,
    regions: Sequence[MemoryRegion],
    *,
    can_flash: bool,
    can_upload: bool,
) -> FitReport:
    """Place a model of `size_bytes` as the host's driver and the board would.

    Weights go to flash if they fit and a tool can write it, else to RAM; then keys, values and
    activations, each whole, each into the first RAM region with room.
    """
    # A board that can do neither is judged by its flash: a person puts the model there.
    flash = [r for r in regions if r.kind == "flash"] if can_flash or not can_upload else []
    ram = {r.name: r.available_bytes for r in regions if r.kind == "ram"}

    def place(n_bytes: int) -> str | None:
        for name, free in ram.items():
            if n_bytes <= free:
                ram[name] = free - n_bytes
                return name
        return None

    in_flash = next((r.name for r in flash if size_bytes <= r.available_bytes), None)
    if in_flash is None:
        weights = place(_up(size_bytes, _UPLOAD_ALIGNMENT)) if can_upload else None
    else:
        weights = in_flash
    half = kv_bytes(s, n_ctx, kv_type) // 2
    activations = activation_bytes(s, n_ctx)
    placements = (
        Placement("weights", size_bytes, weights),
        Placement("keys", half, place(half)),
        Placement("values", half, place(half)),
        Placement("activations", activations, place(activations)),
    )
    return FitReport(placements, tuple(regions))
