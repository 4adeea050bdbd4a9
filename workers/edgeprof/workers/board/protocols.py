"""What a board can be asked, as small protocols, and the values that it answers with.

This is the seam between a job and a link. `link/` implements all of it for boards that speak
docs/link-protocol.md; a driver for another firmware (MLPerf Tiny's text protocol, say) would be a
second implementation. Every function takes the smallest protocol that it needs:

    HasHello      its description of itself           every other protocol that needs an identity
    HasClock      HasHello + clock                    spans and energy, the clock's self-test
    HasStats      its counters and gauges             the probe of an idle board
    RunBoard      what a run needs                    profiling.profile_job
    SelfTestBoard what a self-test needs              selftest
    Board         all of it, and opening's reverse    the board's worker

Every method may raise a Fault of edgeprof.shared.errors, and nothing else; `load`, `run` and
`score` may also raise Cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from edgeprof.shared.types.board import FirmwareAndClock, MemoryRegion
from edgeprof.shared.types.model import KvType, Quantization
from edgeprof.shared.types.profile import Ceilings, Profile
from edgeprof.shared.types.result import LoadResult, MemoryUse, RegionUse


class Hello(FirmwareAndClock):
    """A board's description of itself (HELLO)."""

    uid: str  # lower-case hex
    platform: str
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
    """One RUN, read back from the board. Times are the board's unless their name says host."""

    tokens: tuple[int, ...]
    prefill_us: int
    #: One entry for each generated token after the first.
    step_us: tuple[int, ...]
    idle_us: int | None
    start_us: int
    end_us: int
    #: Host monotonic seconds: RUN was sent, the first token was seen, the result was read.
    host_sent_s: float
    host_first_token_s: float | None
    host_done_s: float


#: The largest loss in nats whose exponential still fits a float of 64 bits.
MAX_NATS: Final = 700.0


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """One teacher-forced SCORE. Entry i is about token i + 1 of the prompt."""

    top1: tuple[int, ...]
    log_likelihood_nats: tuple[float, ...]
    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True)
class ProfileReport:
    """One PROFILE: a run with the timer read between operators, and what that counted."""

    run: RunReport
    profile: Profile


@dataclass(frozen=True, slots=True)
class BoardStats:
    """Counters and gauges since the board started."""

    uptime_us: int
    idle_us: int
    busy_us: int
    boot_id: int
    regions: tuple[RegionUse, ...]
    #: rx_frames, rx_errors, rx_overruns, tx_frames, tx_dropped_events, retransmits, and the host's.
    link: dict[str, int]
    temperature_celsius: dict[str, float] | None
    temperature_emulated: bool


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far the board's clock was from the host's at one moment.

    host_monotonic_s = device_us / 1e6 + offset_s, right to error_s.
    """

    offset_s: float
    error_s: float
    #: The moment, in host monotonic seconds.
    at_s: float

    @property
    def device_s(self) -> float:
        """What the board's clock showed at that moment."""
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
    """How much RAM a pattern test covered, and the first word that failed it."""

    tested_bytes: int
    total_bytes: int
    bad: BadWord | None


class Cancelled(Exception):  # noqa: N818 - not an error: somebody asked for it
    """Raised by load(), run() and score() once should_stop() is true; the board is left clean."""


class HasHello(Protocol):
    """A board that has said what it is."""

    @property
    def hello(self) -> Hello:
        """The last HELLO that the board sent."""
        ...


class HasClock(HasHello, Protocol):
    """A board whose clock can be compared with the host's."""

    def clock(self) -> ClockOffset:
        """Measure how far the board's clock is from the host's monotonic clock."""
        ...


class HasStats(Protocol):
    """A board that can be probed while it is idle."""

    def stats(self) -> BoardStats:
        """Return counters and gauges since the board started."""
        ...


class RunBoard(HasClock, HasStats, Protocol):
    """What a run needs of a board. Not thread-safe: one caller at a time."""

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
        """Put the model onto the board unless it is there already, and make it ready to run."""
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
        """Prefill, decode greedily, and read the measurement back.

        `on_token` gets the index and the id of each token.
        """
        ...

    def score(
        self, tokens: Sequence[int], *, epoch: int, should_stop: Callable[[], bool]
    ) -> ScoreReport:
        """Return log-likelihood and top-1 of each token, given those before it."""
        ...

    def profile(
        self,
        prompt_tokens: Sequence[int],
        n_gen: int,
        *,
        epoch: int,
        on_token: Callable[[int, int], None],
        should_stop: Callable[[], bool],
    ) -> ProfileReport | None:
        """Run as run() does, with the timer read between operators.

        None: the board's firmware cannot do that.
        """
        ...

    def ceilings(self, epoch: int) -> Ceilings | None:
        """Measure what the board could do at best. None: its firmware cannot do that."""
        ...


class AnswersPing(HasStats, Protocol):
    """What a test of the link needs of a board."""

    def answers(self, timeout_s: float) -> bool:
        """Whether the board answers a PING at the first try."""
        ...


class HasMemoryTest(Protocol):
    """What a test of the RAM needs of a board."""

    def test_memory(self, epoch: int, budget_s: float) -> MemoryTest | None:
        """Write patterns to RAM and read them back; a model in RAM is lost.

        None: the board's firmware cannot do that.
        """
        ...


class SelfTestBoard(RunBoard, AnswersPing, HasMemoryTest, Protocol):
    """What a self-test needs of a board: link, clock, memory, and a run with a known answer."""

    def needs_flash(self, size: int) -> bool:
        """Whether load() would put a model of so many bytes into flash."""
        ...


class Board(SelfTestBoard, Protocol):
    """One open link to one board, as its worker has it. Not thread-safe but for plugged_in()."""

    def rates(self) -> tuple[int, ...]:
        """Return the rates in baud that the line can have; none where it has no rate."""
        ...

    def use_rate(self, baud: int) -> None:
        """Go to one of rates(). Raises LinkFault when the board is not heard at it."""
        ...

    def identify(self, duration_s: float) -> None:
        """Have the board blink, so that a person finds it; at most 60 s, and 0 ends it."""
        ...

    def plugged_in(self) -> bool:
        """Whether the board's port is still there. Cheap, and allowed from any thread."""
        ...

    def close(self) -> None:
        """Close the port and give up its lock."""
        ...
