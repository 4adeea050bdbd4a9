"""A board without silicon: it answers at once, and does what a test tells it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from edgeprof.shared.errors import LinkFault
from edgeprof.shared.types.board import MemoryRegion
from edgeprof.shared.types.model import KvType, Quantization
from edgeprof.shared.types.profile import Ceilings
from edgeprof.shared.types.result import LoadResult, MemoryUse
from edgeprof.workers.board.protocols import (
    BadWord,
    BoardStats,
    Cancelled,
    ClockOffset,
    Hello,
    MemoryTest,
    ProfileReport,
    RunReport,
    ScoreReport,
)

_RAM_BYTES = 1 << 24


def fake_hello(uid: str = "01", platform: str = "null") -> Hello:
    """Return the HELLO of an emulated board with plenty of RAM and every kernel."""
    region = MemoryRegion(
        name="sram", kind="ram", total_bytes=_RAM_BYTES, available_bytes=_RAM_BYTES
    )
    return Hello(
        uid=uid,
        platform=platform,
        firmware_version="0",
        firmware_git_hash="0",
        toolchain="none",
        protocol=(1, 0),
        clock_hz=1,
        timer_name="none",
        timer_resolution_ns=1,
        emulated=True,
        boot_id=1,
        regions=(region,),
        kernels=tuple(Quantization),
        bauds=(),
        flash_model_sha256=None,
        ram_model_sha256=None,
        features=0,
        n_ctx_max=4096,
        can_upload=True,
        can_flash=False,
    )


class FakeBoard:
    """Implements Board. A test may replace `hello`, and look at what the board was asked."""

    def __init__(
        self,
        hello: Hello | None = None,
        *,
        is_present: Callable[[], bool] = lambda: True,
        is_sick: Callable[[], bool] = lambda: False,
        drift: float = 0.0,
        clock_error_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`is_sick`: whether its RAM fails the memory test.

        `drift`: how much faster than the host's its clock runs; 0.01 is 1 %. `clock_error_s` gives
        the error of each reading of it, which may be off by as much in either direction.
        """
        self.hello = hello or fake_hello()
        self.blinked_s: list[float] = []
        self.closed = False
        self._is_present = is_present
        self._is_sick = is_sick
        self._drift = drift
        self._clock_error_s = clock_error_s
        self._early = False
        self.stats()

    def load(
        self,
        model_path: Path,
        sha256: str,  # noqa: ARG002 - of the protocol
        *,
        n_ctx: int,
        kv_type: KvType,
        epoch: int,  # noqa: ARG002
        on_progress: Callable[[int, int], None],
        should_stop: Callable[[], bool],
    ) -> tuple[LoadResult, tuple[MemoryUse, ...]]:
        """Say that the model was there already."""
        if should_stop():
            raise Cancelled
        self.stats()
        size = model_path.stat().st_size
        on_progress(size, size)
        return fake_load(n_ctx, kv_type), ()

    def run(
        self,
        prompt_tokens: Sequence[int],
        n_gen: int,
        *,
        epoch: int,  # noqa: ARG002
        on_token: Callable[[int, int], None],
        should_stop: Callable[[], bool],
    ) -> RunReport:
        """Generate 0, 1, 2 …: a microsecond for each token of the prompt, and for each step."""
        sent_s = time.monotonic()
        for index in range(n_gen):
            if should_stop():
                raise Cancelled
            self.stats()
            on_token(index, index)
        prefill_us = len(prompt_tokens)
        return RunReport(
            tokens=tuple(range(n_gen)),
            prefill_us=prefill_us,
            step_us=(1,) * max(n_gen - 1, 0),
            idle_us=0,
            start_us=0,
            end_us=prefill_us + max(n_gen - 1, 0),
            host_sent_s=sent_s,
            host_first_token_s=None,
            host_done_s=time.monotonic(),
        )

    def score(
        self,
        tokens: Sequence[int],
        *,
        epoch: int,  # noqa: ARG002
        should_stop: Callable[[], bool],
    ) -> ScoreReport:
        """Find each token certain, and right."""
        if should_stop():
            raise Cancelled
        self.stats()
        scored = tuple(tokens[1:])
        return ScoreReport(scored, (0.0,) * len(scored), start_us=0, end_us=len(scored))

    def profile(
        self,
        prompt_tokens: Sequence[int],  # noqa: ARG002
        n_gen: int,  # noqa: ARG002
        *,
        epoch: int,  # noqa: ARG002
        on_token: Callable[[int, int], None],  # noqa: ARG002
        should_stop: Callable[[], bool],  # noqa: ARG002
    ) -> ProfileReport | None:
        """Have firmware that knows no profiles."""
        return None

    def ceilings(self, epoch: int) -> Ceilings | None:  # noqa: ARG002
        """Have firmware that knows no ceilings."""
        return None

    def stats(self) -> BoardStats:
        """Return zeros, or raise LinkFault when the board is not present."""
        if not self._is_present():
            raise LinkFault("nobody answers", code="silence")
        link = {"rx_errors": 0, "rx_overruns": 0, "host_rx_errors": 0}
        return BoardStats(0, 0, 0, self.hello.boot_id, (), link, None, temperature_emulated=False)

    def clock(self) -> ClockOffset:
        """Return an offset that drifts, read with an error to one side and then to the other."""
        now_s, error_s = time.monotonic(), self._clock_error_s()
        self._early = not self._early
        wrong_s = -error_s if self._early else error_s
        return ClockOffset(offset_s=wrong_s - now_s * self._drift, error_s=error_s, at_s=now_s)

    def answers(self, timeout_s: float) -> bool:  # noqa: ARG002
        """Whether the board is present."""
        return self._is_present()

    def test_memory(self, epoch: int, budget_s: float) -> MemoryTest | None:  # noqa: ARG002
        """Find a bad word when the board is sick."""
        bad = BadWord("sram", offset_bytes=0, expected=1, got=0) if self._is_sick() else None
        return MemoryTest(_RAM_BYTES, _RAM_BYTES, bad)

    def needs_flash(self, size: int) -> bool:  # noqa: ARG002
        """Put no model into flash."""
        return False

    def rates(self) -> tuple[int, ...]:
        return ()

    def use_rate(self, baud: int) -> None:
        raise AssertionError(f"a board without a line has no {baud} baud")

    def identify(self, duration_s: float) -> None:
        """Note for how long it was to blink."""
        self.blinked_s.append(duration_s)

    def plugged_in(self) -> bool:
        """Keep its port, even while the board is silent."""
        return True

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True


def fake_load(n_ctx: int, kv_type: KvType) -> LoadResult:
    """Return a load that took no time."""
    return LoadResult(
        how="ram",
        region="sram",
        load_device_s=0.0,
        transfer_s=None,
        transfer_bytes=0,
        transfer_bytes_per_second=None,
        n_ctx=n_ctx,
        kv_type=kv_type.value,
    )
