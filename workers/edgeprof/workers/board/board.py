"""What a board can be asked to do, whatever protocol it speaks.

The seam between a job (session.py) and a link (link/ speaks docs/link-protocol.md; a driver for the
MLPerf Tiny text protocol will be a second implementation). Every method may raise a
Fault from edgeprof.shared.errors; nothing else escapes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from edgeprof.shared.types.board import MemoryRegion
from edgeprof.shared.types.model import KvType, Quantization
from edgeprof.shared.types.result import LoadResult, MemoryUse, RegionUse


@dataclass(frozen=True, slots=True)
class Hello:
    """A board's description of itself (HELLO)."""

    uid: str  # lower-case hex
    platform: str
    firmware_version: str
    firmware_git_hash: str
    toolchain: str
    protocol: tuple[int, int]
    clock_hz: int | None
    timer_name: str
    timer_resolution_ns: int
    emulated: bool
    boot_id: int
    regions: tuple[MemoryRegion, ...]
    kernels: tuple[Quantization, ...]
    bauds: tuple[int, ...]
    flash_model_sha256: str | None
    ram_model_sha256: str | None
    features: int
    n_ctx_max: int
    can_upload: bool
    can_flash: bool


@dataclass(frozen=True, slots=True)
class RunReport:
    """One RUN, read back from the board. Times are the board's unless named host."""

    tokens: tuple[int, ...]
    prefill_us: int
    #: One entry for each generated token after the first.
    step_us: tuple[int, ...]
    idle_us: int | None
    start_us: int
    end_us: int
    #: Host monotonic seconds: RUN sent, first token seen, result read.
    host_sent_s: float
    host_first_token_s: float | None
    host_done_s: float


#: e to it is still a float of 64 bits.
MAX_NATS: Final = 700.0


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """Teacher-forced SCORE: entry i is about token i+1 of the prompt."""

    top1: tuple[int, ...]
    log_likelihood_nats: tuple[float, ...]
    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True)
class BoardStats:
    """Counters and gauges since boot."""

    uptime_us: int
    idle_us: int
    busy_us: int
    boot_id: int
    regions: tuple[RegionUse, ...]
    link: dict[
        str, int
    ]  # rx_frames, rx_errors, rx_overruns, tx_frames, tx_dropped_events, retransmits
    temperature_celsius: dict[str, float] | None
    temperature_emulated: bool


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """host_monotonic_s = device_us / 1e6 + offset_s, within error_s, at the moment of one look."""

    offset_s: float
    error_s: float
    #: That moment, host monotonic seconds.
    at_s: float

    @property
    def device_s(self) -> float:
        """What the board's clock said."""
        return self.at_s - self.offset_s


@dataclass(frozen=True, slots=True)
class BadWord:
    """A word of RAM that did not keep what was written to it."""

    region: str
    offset_bytes: int
    expected: int
    got: int


@dataclass(frozen=True, slots=True)
class MemoryTest:
    """What a pattern test of RAM covered, and the first word that failed it."""

    tested_bytes: int
    total_bytes: int
    bad: BadWord | None


class Cancelled(Exception):  # noqa: N818 - not an error: somebody asked for it
    """Raised by run() and load() when `should_stop` said so and the board was left clean."""


class Board(Protocol):
    """One open link to one board. Not thread-safe: one caller at a time."""

    hello: Hello

    def load(
        self,
        model_path: Path,
        sha256: str,
        *,
        n_ctx: int,
        kv_type: KvType,
        epoch: int,
        on_progress: Callable[[int, int], None],
        should_stop: Callable[[], bool],
    ) -> tuple[LoadResult, tuple[MemoryUse, ...]]:
        """Get the model onto the board unless it is there, and make it ready to run."""
        ...

    def needs_flash(self, size: int) -> bool:
        """Whether load() would put a model of so many bytes into flash."""
        ...

    def run(
        self,
        prompt_tokens: Sequence[int],
        n_gen: int,
        *,
        epoch: int,
        on_token: Callable[[int, int], None],
        should_stop: Callable[[], bool],
    ) -> RunReport:
        """Prefill, decode greedily, and read the measurement back. on_token(index, token id)."""
        ...

    def score(
        self, tokens: Sequence[int], *, epoch: int, should_stop: Callable[[], bool]
    ) -> ScoreReport:
        """Log-likelihood and top-1 of each token given those before it."""
        ...

    def stats(self) -> BoardStats: ...

    def clock(self) -> ClockOffset:
        """Measure where the board's clock stands against the host's monotonic clock."""
        ...

    def answers(self, timeout_s: float) -> bool:
        """Whether the board answers a PING at the first try."""
        ...

    def test_memory(self, epoch: int, budget_s: float) -> MemoryTest | None:
        """Write patterns to RAM and read them back, dropping the model there; None: its firmware cannot."""
        ...

    def identify(self, duration_s: float) -> None:
        """Have the board blink, so that a person finds it; at most 60 s, and 0 ends it."""
        ...

    def cancel(self, epoch: int) -> bool: ...

    def plugged_in(self) -> bool:
        """Whether its port is still there. Cheap, and allowed from any thread at any time."""
        ...

    def reset(self) -> None:
        """Restart the board and wait until it says HELLO again."""
        ...

    def close(self) -> None: ...
