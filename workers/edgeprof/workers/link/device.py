"""A Board behind docs/link-protocol.md: what can be done with it once its port is open.

connection.py opens the port and meets the board, baud.py finds its rate, loading.py brings a model
there, runs.py runs it; here they are one Board.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgeprof.shared.errors import BoardFault, LinkFault
from edgeprof.shared.types.model import KvType
from edgeprof.shared.types.profile import Ceilings
from edgeprof.shared.types.result import LoadResult, MemoryUse
from edgeprof.workers.board import flash
from edgeprof.workers.board.locks import BoardLock
from edgeprof.workers.board.protocols import (
    BoardStats,
    Cancelled,
    ClockOffset,
    Hello,
    MemoryTest,
    ProfileReport,
    RunReport,
    ScoreReport,
)
from edgeprof.workers.link import memtest
from edgeprof.workers.link.baud import DEFAULT_BAUD
from edgeprof.workers.link.ceilings import measure_ceilings
from edgeprof.workers.link.connection import Connection
from edgeprof.workers.link.hello import FEATURE_IDENTIFY, FEATURE_MEMTEST, FEATURE_PROFILE
from edgeprof.workers.link.loading import ModelLoading
from edgeprof.workers.link.messages.board import (
    FaultRequest,
    IdentifyRequest,
    PingRequest,
    StatsRequest,
)
from edgeprof.workers.link.messages.runs import CancelRequest
from edgeprof.workers.link.model_loaders import StoredModel
from edgeprof.workers.link.port import lock_port, plugged_in
from edgeprof.workers.link.readings import parse_stats
from edgeprof.workers.link.runs import Runs

OPEN_TIMEOUT_S = 10.0
#: Fewer than of other requests: somebody waits for the board to be free.
CANCEL_TRIES = 4


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """How to reach a board; what boards.toml may say of it."""

    lock_dir: Path
    slot_dir: Path
    baud: int = DEFAULT_BAUD
    open_timeout_s: float = OPEN_TIMEOUT_S
    find_placer: flash.FindPlacer = flash.only_emulated
    #: Whether the worker is to end now: then the board is not waited for any longer.
    should_stop: Callable[[], bool] = lambda: False


def open_board(url: str, options: OpenOptions) -> LinkBoard:
    """Lock the port, open it and wait for HELLO.

    Raises HostFault (busy, absent, no permission, worker stopped), LinkFault (nothing of ours
    answers, other version).
    """
    lock = lock_port(url, options.lock_dir)
    try:
        return LinkBoard(url, options, lock)
    except BaseException:
        lock.close()
        raise


class LinkBoard:
    """One open board. Made by open_board()."""

    def __init__(self, url: str, options: OpenOptions, lock: BoardLock) -> None:
        self._url = url
        self._lock = lock
        self.connection = Connection(
            url,
            first_baud=options.baud,
            open_timeout_s=options.open_timeout_s,
            should_stop=options.should_stop,
            find_placer=options.find_placer,
        )
        self.loading = ModelLoading(self.connection, options.slot_dir)

    @property
    def hello(self) -> Hello:
        """The last HELLO that the board sent."""
        return self.connection.hello

    @hello.setter
    def hello(self, hello: Hello) -> None:
        self.connection.hello = hello

    def plugged_in(self) -> bool:
        """Whether the port is still there (see Board.plugged_in)."""
        return plugged_in(self.connection.port, self._url)

    def close(self) -> None:
        """Close the port and let others have it."""
        self.connection.close()
        self._lock.close()

    # --- models and runs ---

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
        """Get the model onto the board unless it is there, and make it ready (see Board.load)."""
        model = StoredModel(model_path, sha256, model_path.stat().st_size)
        with self.connection.stopped_by(should_stop):
            # An attempt that lost the line may have left its run: a busy board takes no model.
            self.cancel(epoch)
            return self.loading.load(
                model, n_ctx=n_ctx, kv_type=kv_type, epoch=epoch, on_progress=on_progress
            )

    def needs_flash(self, size: int) -> bool:
        """Whether load() would put a model of so many bytes into flash (see Board.needs_flash)."""
        return self.loading.needs_flash(size)

    def run(
        self,
        prompt_tokens: Sequence[int],
        n_gen: int,
        *,
        epoch: int,
        on_token: Callable[[int, int], None],
        should_stop: Callable[[], bool],
    ) -> RunReport:
        """Prefill, decode greedily, and read the measurement back (see Board.run)."""
        with self._leaving_no_run(epoch):
            return Runs(self.connection.client, self._url).run(
                prompt_tokens, n_gen, epoch=epoch, on_token=on_token, should_stop=should_stop
            )

    def score(
        self, tokens: Sequence[int], *, epoch: int, should_stop: Callable[[], bool]
    ) -> ScoreReport:
        """Teacher-forced log-likelihood and top-1 (see Board.score)."""
        with self._leaving_no_run(epoch):
            return Runs(self.connection.client, self._url).score(
                tokens, epoch=epoch, should_stop=should_stop
            )

    def profile(
        self,
        prompt_tokens: Sequence[int],
        n_gen: int,
        *,
        epoch: int,
        on_token: Callable[[int, int], None],
        should_stop: Callable[[], bool],
    ) -> ProfileReport | None:
        """Run with the timer read between operators (see Board.profile)."""
        if not self.hello.features & FEATURE_PROFILE:
            return None
        with self._leaving_no_run(epoch):
            return Runs(self.connection.client, self._url).profile(
                prompt_tokens, n_gen, epoch=epoch, on_token=on_token, should_stop=should_stop
            )

    def ceilings(self, epoch: int) -> Ceilings | None:
        """Measure what the board could do at best (see Board.ceilings)."""
        if not self.hello.features & FEATURE_PROFILE:
            return None
        return measure_ceilings(self.connection.client, self.hello, epoch)

    @contextmanager
    def _leaving_no_run(self, epoch: int) -> Iterator[None]:
        """End a run that is to be stopped: CANCEL, or RESET for a board that does not hear it.

        Raises LinkFault "silence" when it does not hear RESET either: only opening it afresh can
        help then.
        """
        try:
            yield
        except Cancelled:
            try:
                self.cancel(epoch)
            except LinkFault as fault:
                if fault.code != "silence":
                    raise
                self.reset()
            raise

    def stats(self) -> BoardStats:
        """Counters and gauges since boot."""
        client = self.connection.client
        reply = client.request(StatsRequest())
        client.check_boot(reply.boot_id)
        return parse_stats(reply, client.counters)

    def clock(self) -> ClockOffset:
        """Best of five PINGs: half the shortest round trip bounds the error."""
        best: ClockOffset | None = None
        for echo in range(5):
            before = time.monotonic()
            reply = self.connection.client.request(PingRequest(echo=echo))
            after = time.monotonic()
            self.connection.client.check_boot(reply.boot_id)
            error = (after - before) / 2
            if best is None or error < best.error_s:
                at = before + error
                best = ClockOffset(offset_s=at - reply.time_us / 1e6, error_s=error, at_s=at)
        assert best is not None
        return best

    def answers(self, timeout_s: float) -> bool:
        """Whether the board answers a PING at the first try (see Board.answers)."""
        try:
            reply = self.connection.client.request(PingRequest(), timeout_s=timeout_s, tries=1)
        except LinkFault as fault:
            if fault.code != "silence":
                raise
            return False
        self.connection.client.check_boot(reply.boot_id)
        return True

    def test_memory(self, epoch: int, budget_s: float) -> MemoryTest | None:
        """Write patterns to RAM and read them back (see Board.test_memory)."""
        if not self.hello.features & FEATURE_MEMTEST:
            return None
        client = self.connection.client
        return memtest.test_memory(client, self.hello.regions, epoch, budget_s)

    def rates(self) -> tuple[int, ...]:
        """Return the rates in baud that the line can have (see Board.rates)."""
        return self.connection.rates()

    def use_rate(self, baud: int) -> None:
        """Go to another rate (see Board.use_rate)."""
        self.connection.use_rate(baud)

    def identify(self, duration_s: float) -> None:
        """Have the board blink (see Board.identify)."""
        if not self.hello.features & FEATURE_IDENTIFY:
            raise BoardFault(
                f"{self._url}: the board has no LED to blink, or its firmware is of before link"
                " protocol 1.1",
                code="unsupported",
            )
        self.connection.client.request(IdentifyRequest(duration_ms=round(duration_s * 1000)))

    def cancel(self, epoch: int) -> bool:
        """End the run in progress; returns whether there was one."""
        request = CancelRequest(epoch=epoch)
        return self.connection.client.request(request, tries=CANCEL_TRIES).was_running

    def reset(self) -> None:
        """Restart the board and wait until its HELLO comes again (see Board.reset)."""
        self.connection.reset()

    def inject_fault(self, kind: int, parameter: int = 0) -> None:
        """Operation FAULT of test builds: make the native board misbehave on purpose."""
        self.connection.client.request(FaultRequest(fault=kind, parameter=parameter))
