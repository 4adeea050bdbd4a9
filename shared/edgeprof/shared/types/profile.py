"""Why a run is as fast as it is: the board's profile, its ceilings, and what follows from them."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from edgeprof.shared.types.wire import TolerantModel


class Operator(StrEnum):
    """What a forward pass is made of, in its order: the board's numbers are the places here."""

    EMBEDDING = "embedding"
    NORM = "norm"
    QUANTIZE = "quantize"
    Q = "q"
    K = "k"
    V = "v"
    ROPE = "rope"
    CACHE_WRITE = "cache_write"
    SCORES = "scores"
    SOFTMAX = "softmax"
    MIX = "mix"
    ATTN_OUTPUT = "attn_output"
    GATE = "gate"
    UP = "up"
    SWIGLU = "swiglu"
    DOWN = "down"
    RESIDUAL = "residual"
    HEAD = "head"
    ARGMAX = "argmax"


class Phase(StrEnum):
    """The two parts of a run."""

    PREFILL = "prefill"
    DECODE = "decode"


class ModelDimensions(TolerantModel):
    """What of a model decides how much there is to compute: its sizes and weight types."""

    n_layers: int
    dim: int
    hidden: int
    n_heads: int
    n_heads_kv: int
    head_dim: int
    rope_dim: int
    n_vocab: int
    embedding_type: str
    head_type: str
    #: Type of the weights q, k, v, attn_output, gate, up and down of each layer; a single entry
    #: stands for all layers.
    layer_types: tuple[tuple[str, ...], ...]
    #: Element type of the KV cache.
    kv_type: str
    #: The region that the weights are read from.
    weights_region: str

    @property
    def kv_dim(self) -> int:
        """Width of one position's keys, and of its values."""
        return self.n_heads_kv * self.head_dim


class ProfileCell(TolerantModel):
    """What one operator did in one phase and layer, over the whole run."""

    phase: Phase
    operator: Operator
    #: None for what belongs to no layer, or where layers were not told apart.
    layer: int | None
    calls: int
    #: Of the board's timer.
    ticks: int
    #: Multiply-accumulates.
    macs: int
    weight_bytes: int
    #: Bytes of the KV cache that were read or written.
    cache_bytes: int


class Profile(TolerantModel):
    """One profiled run. Its operators and `unaccounted_ticks` sum to the window exactly."""

    #: Ticks of the board's timer in a second.
    tick_hz: int
    #: Whether layers were told apart; a board without room for that counts by operator.
    by_layer: bool
    cells: tuple[ProfileCell, ...]
    #: Ticks of the timed windows of each phase.
    prefill_ticks: int
    decode_ticks: int
    #: Positions that a row of by_position is about.
    bucket_positions: int
    #: (buckets, operators) ticks by position in the context, both phases together.
    by_position: tuple[tuple[int, ...], ...]
    #: How much longer the profiled run took than a plain one, as a share of the plain one.
    cost_of_looking: float | None = None

    def window_ticks(self, phase: Phase) -> int:
        """Ticks of a phase's timed windows."""
        return self.prefill_ticks if phase is Phase.PREFILL else self.decode_ticks

    def unaccounted_ticks(self, phase: Phase) -> int:
        """Ticks of a phase that no operator has: the profile's own counting, and calls."""
        counted = sum(cell.ticks for cell in self.cells if cell.phase is phase)
        return self.window_ticks(phase) - counted


class ReadCeiling(TolerantModel):
    """How fast a region of memory was read in order."""

    region: str
    #: Length of the stretch that was read.
    length_bytes: int
    #: Bytes a second: the first time, and again at once.
    first_bytes_per_second: float
    again_bytes_per_second: float


#: Columns of the matrix that a board multiplies to measure a kernel (link protocol, KERNEL_SPEED).
CEILING_COLUMNS: Final = 512


class KernelCeiling(TolerantModel):
    """How fast a weight type was multiplied, its data in the fastest memory with room."""

    #: As ggml calls the type.
    quantization: str
    region: str
    #: Rows of the matrix that was multiplied.
    rows: int
    macs_per_second: float
    weight_bytes_per_second: float


class Ceilings(TolerantModel):
    """What a board could do at best, as it measured itself."""

    firmware_git_hash: str
    #: None where the board does not know its clock.
    clock_hz: int | None
    reads: tuple[ReadCeiling, ...]
    kernels: tuple[KernelCeiling, ...]

    def kernel(self, quantization: str) -> KernelCeiling | None:
        """Return the ceiling of a weight type, None where it was not measured."""
        return next((k for k in self.kernels if k.quantization == quantization), None)

    def read_bytes_per_second(self, region: str) -> float | None:
        """Return how fast a region can be read when no cache helps; None if it was not measured.

        That is the first reading of the longest stretch, because the timer takes a part of a short
        one. A kernel with its data there may have been faster: a host's reads more at a time.
        """
        found = [read for read in self.reads if read.region == region]
        if not found:
            return None
        longest = max(found, key=lambda read: read.length_bytes)
        kernels = [k.weight_bytes_per_second for k in self.kernels if k.region == region]
        return max([longest.first_bytes_per_second, *kernels])


class Derived(TolerantModel):
    """What follows from a case's speed and the model's shape. None where something is unknown."""

    #: Multiply-accumulates of a decode step, the mean over the steps.
    macs_per_token: float | None = None
    #: Bytes of weights that a decode step reads.
    weight_bytes_per_token: float | None = None
    cycles_per_token: float | None = None
    cycles_per_mac: float | None = None
    #: Bytes of weights a second, while decoding.
    weight_bytes_per_second: float | None = None
    #: By how much a decode step gets longer with each position, by least squares.
    slope_s_per_position: float | None = None
    #: Share of prefill in the run's time on the board, 0..1.
    prefill_share: float
