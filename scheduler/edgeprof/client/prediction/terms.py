"""The terms of an operator's cost: so many calls, rows or positions, and multiply-accumulates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeprof.shared.models.fit import BATCH
from edgeprof.shared.models.operators import ATTENTION, Call, calls_of
from edgeprof.shared.models.tensor_types import BLOCK
from edgeprof.shared.types.model import Quantization
from edgeprof.shared.types.profile import ModelDimensions, Operator, Phase, Profile

#: calls, rows (of a matrix) or positions (of attention), and elements.
Terms = npt.NDArray[np.float64]

MATRICES: Final = frozenset(
    {
        Operator.Q,
        Operator.K,
        Operator.V,
        Operator.ATTN_OUTPUT,
        Operator.GATE,
        Operator.UP,
        Operator.DOWN,
        Operator.HEAD,
    }
)

#: Families of matrix products: of one position, and of a batch.
MATRIX: Final = "matrix"
BATCHED: Final = "matrix batch"


class Key(NamedTuple):
    """What has a cost of its own: all matrices of one type share theirs."""

    family: str
    kind: str
    #: Where the weights of a matrix are; "" for all else.
    region: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """The terms of one operator, and what its calls read."""

    key: Key
    terms: Terms
    weight_bytes: float


#: Operators that read or write the KV cache; the type of it is the first word of their kind.
_OF_CACHE: Final = frozenset({Operator.CACHE_WRITE, Operator.SCORES, Operator.MIX})


def cache_type(key: Key) -> str | None:
    """Return the element type of the cache that a cost is about; None for all else."""
    return key.kind.split()[0] if key.family in _OF_CACHE else None


def key_of(call: Call, weights_region: str) -> Key:
    """Return whose cost a call has."""
    if call.operator in MATRICES:
        return Key(MATRIX, call.kind, weights_region)
    return Key(call.operator, call.kind)


def batched_key_of(call: Call, weights_region: str) -> Key:
    """Return the same of a batch: only products of packed weights, and their inputs, differ."""
    if call.operator is Operator.QUANTIZE:
        return Key(call.operator, f"{call.kind} batch")
    if call.operator in MATRICES and BLOCK[Quantization(call.kind)] > 1:
        return Key(BATCHED, call.kind, weights_region)
    return key_of(call, weights_region)


def has_batches(profile: Profile, dimensions: ModelDimensions) -> bool:
    """Return whether a call of a matrix was ever for several positions of the prompt."""
    return any(
        cell.macs > cell.calls * dimensions.dim * dimensions.hidden
        for cell in profile.cells
        if cell.phase is Phase.PREFILL and cell.operator is Operator.DOWN
    )


@lru_cache(maxsize=512)
def work_of(
    dimensions: ModelDimensions, phase: Phase, n_prompt: int, n_gen: int, *, batched: bool = False
) -> Mapping[tuple[Operator, Key], Work]:
    """Return what one phase of a run does, by operator; n_gen at least 1."""
    if phase is Phase.PREFILL:
        positions = np.arange(1, n_prompt + 1)
        heads = 1
    else:
        positions = np.arange(n_prompt + 1, n_prompt + n_gen)
        heads = len(positions)
    tokens, attended = len(positions), int(positions.sum())
    # the last position of a prompt is in no batch: somebody reads its logits
    together = (n_prompt - 1) // BATCH * BATCH if batched and phase is Phase.PREFILL else 0
    region = dimensions.weights_region
    every = calls_of(dimensions, head=False)
    with_head = calls_of(dimensions, head=True)[len(every) :]
    done: list[tuple[Call, Key, int]] = []
    for call in every:
        key, of_batch = key_of(call, region), batched_key_of(call, region)
        if together == 0 or of_batch == key:
            done.append((call, key, tokens))
        else:
            done += [(call, of_batch, together), (call, key, tokens - together)]
    done += [(call, key_of(call, region), heads) for call in with_head]
    return _added(done, attended)


def _added(
    done: Iterable[tuple[Call, Key, int]], attended: int
) -> Mapping[tuple[Operator, Key], Work]:
    terms: dict[tuple[Operator, Key], Terms] = defaultdict(lambda: np.zeros(3))
    n_bytes: dict[tuple[Operator, Key], float] = defaultdict(float)
    for call, key, times in done:
        where = call.operator, key
        calls = call.count * times
        if call.operator in ATTENTION:
            positions = call.count * attended
            terms[where] += (calls, positions, positions * call.elements)
        else:
            terms[where] += (calls, calls * call.rows, calls * call.elements)
        n_bytes[where] += calls * call.weight_bytes / (BATCH if key.family == BATCHED else 1)
    return {where: Work(where[1], terms[where], n_bytes[where]) for where in terms}
