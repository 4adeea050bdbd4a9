"""A platform whose costs are known: profiles and ceilings made of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeprof.client.prediction.costs import Measured
from edgeprof.client.prediction.terms import BATCHED, MATRIX, Key, work_of
from edgeprof.shared.models.fit import BATCH
from edgeprof.shared.types.profile import (
    Ceilings,
    KernelCeiling,
    ModelDimensions,
    Phase,
    Profile,
    ProfileCell,
    ReadCeiling,
)

TICK_HZ = 1_000_000_000
N_PROMPT, N_GEN = 8, 5
#: Nanoseconds of a call, a row or position, and an element; all else costs the last.
TRUE_NS: Mapping[str, tuple[int, int, int]] = {
    "Q8_0": (500, 40, 12),
    "Q4_0": (500, 40, 9),
    "F32": (500, 40, 20),
    "": (300, 20, 7),
}


def dimensions(
    kind: str = "Q8_0", dim: int = 64, hidden: int = 192, n_layers: int = 2
) -> ModelDimensions:
    return ModelDimensions(
        n_layers=n_layers, dim=dim, hidden=hidden, n_heads=8, n_heads_kv=4, head_dim=dim // 8,
        rope_dim=dim // 8, n_vocab=512, embedding_type=kind, head_type=kind,
        layer_types=((kind,) * 7,), kv_type="F16", weights_region="flash",
    )  # fmt: skip


def nanoseconds(key: Key, terms: np.ndarray[tuple[int], np.dtype[np.float64]]) -> int:
    cost = TRUE_NS[key.kind if key.family in (MATRIX, BATCHED) else ""]
    return int(np.dot(cost, terms)) // (2 if key.family == BATCHED else 1)


CEILINGS = Ceilings(
    firmware_git_hash="0",
    clock_hz=TICK_HZ,
    reads=(
        ReadCeiling(
            region="flash", length_bytes=4096,
            first_bytes_per_second=1e9, again_bytes_per_second=1e9,
        ),
    ),
    kernels=tuple(
        KernelCeiling(
            quantization=kind, region="sram", rows=16, macs_per_second=16 * 512 / (ns * 1e-9),
            weight_bytes_per_second=1e8,
        )
        for kind, ns in (
            (kind, np.dot(TRUE_NS[kind], (1, 16, 16 * 512))) for kind in ("Q8_0", "Q4_0")
        )
    ),
)  # fmt: skip


def measured(d: ModelDimensions, *, profiled: bool = True, batched: bool = False) -> Measured:
    """A case on a platform whose costs are TRUE_NS; products of a batch cost half."""
    cells, totals = [], {Phase.PREFILL: 0, Phase.DECODE: 0}
    for phase in Phase:
        done = work_of(d, phase, N_PROMPT, N_GEN, batched=batched)
        for (operator, key), work in done.items():
            ticks = nanoseconds(key, work.terms)
            totals[phase] += ticks
            cells.append(
                ProfileCell(
                    phase=phase, operator=operator, layer=None,
                    calls=int(work.terms[0]) // (BATCH if key.family == BATCHED else 1),
                    ticks=ticks, macs=int(work.terms[2]), weight_bytes=int(work.weight_bytes),
                    cache_bytes=0,
                )
            )  # fmt: skip
    profile = Profile(
        tick_hz=TICK_HZ, by_layer=False, cells=tuple(cells), bucket_positions=2, by_position=(),
        prefill_ticks=totals[Phase.PREFILL] + 10, decode_ticks=totals[Phase.DECODE] + 10,
    )  # fmt: skip
    return Measured(
        d, N_PROMPT, N_GEN, totals[Phase.PREFILL] / TICK_HZ, totals[Phase.DECODE] / TICK_HZ,
        profile if profiled else None, CEILINGS if profiled else None,
    )  # fmt: skip
