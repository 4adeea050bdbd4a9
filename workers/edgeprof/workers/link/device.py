"""A Board behind docs/link-protocol.md: open, put the model there, run, reset."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edgeprof.shared.errors import BoardFault, HostFault, LinkFault
from edgeprof.shared.types.model import KvType
from edgeprof.shared.types.result import LoadResult, MemoryUse
from edgeprof.workers.board import flash
from edgeprof.workers.board.board import (
    BoardStats,
    Cancelled,
    ClockOffset,
    MemoryTest,
    RunReport,
    ScoreReport,
)
from edgeprof.workers.board.locks import BoardClaim
from edgeprof.workers.link import memtest
from edgeprof.workers.link.client import STOP_EVERY_S, LinkSession
from edgeprof.workers.link.hello import FEATURE_IDENTIFY, FEATURE_MEMTEST, parse_hello
from edgeprof.workers.link.messages import Op, Payload, get, get_uint
from edgeprof.workers.link.port import (
    close_port,
    lock_port,
    open_port,
    plugged_in,
    rate_of,
    set_rate,
)
from edgeprof.workers.link.readings import parse_memory, parse_stats
from edgeprof.workers.link.runs import Runs
from edgeprof.workers.link.upload import upload

OPEN_TIMEOUT_S = 10.0
#: Fewer than of other requests: somebody waits for the board to be free.
CANCEL_TRIES = 4
RESET_TRIES = 2
#: How long a board that was left at another rate needs to be back at its own (protocol, BAUD).
BAUD_FALLBACK_S = 1.1
DEFAULT_BAUD = 115200
#: Rates that boards of ours can be asked for (BAUD).
FAST_BAUDS = (921600, 460800, 230400)
#: An upload estimated to take longer goes through flash instead, where a board has both ways.
SLOW_UPLOAD_S = 3.0
#: What QEMU's Cortex-M UARTs take in, bytes/s (measured; a byte costs a turn of its main loop).
QEMU_ARM_UPLOAD_BYTES_PER_S = 20_000
_KV_CODE = {KvType.F32: 0, KvType.F16: 1}


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """How to reach a board; what boards.toml may say of it."""

    lock_dir: Path
    slot_dir: Path
    baud: int = DEFAULT_BAUD
    open_timeout_s: float = OPEN_TIMEOUT_S
    flash_command: tuple[str, ...] = field(default=())
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

    def __init__(self, url: str, options: OpenOptions, lock: BoardClaim) -> None:
        self._url = url
        self._options = options
        self._lock = lock
        #: Whether the job that has the board is to end.
        self._job_stops: Callable[[], bool] = lambda: False
        self._port = open_port(url, options.baud, self._check_stop)
        try:
            self._connect()
        except BaseException:
            close_port(self._port, url)
            raise

    def _check_stop(self) -> None:
        """End a wait that nobody wants any more; every wait calls this some times a second."""
        if self._options.should_stop():
            raise HostFault(f"{self._url}: the board worker was stopped", code="worker_stopped")
        if self._job_stops():
            raise Cancelled

    @contextmanager
    def _stopped_by(self, should_stop: Callable[[], bool]) -> Iterator[None]:
        """Have waits end, as Cancelled, once the callable says so."""
        before, self._job_stops = self._job_stops, should_stop
        try:
            yield
        finally:
            self._job_stops = before

    def _connect(self) -> None:
        self._session = LinkSession(self._port, self._url, self._check_stop)
        reply = self._session.hello(self._options.open_timeout_s, self._tune)
        can_flash = flash.emulated(self._url) or bool(self._options.flash_command)
        self._link = parse_hello(reply, can_flash=can_flash)
        self.hello = self._link.hello
        self._negotiate_baud()

    def plugged_in(self) -> bool:
        """Whether the port is still there (see Board.plugged_in)."""
        return plugged_in(self._port, self._url)

    def close(self) -> None:
        """Close the port and let others have it."""
        close_port(self._port, self._url)
        self._lock.close()

    def _open_again(self, url: str) -> None:
        close_port(self._port, self._url)
        self._port = open_port(url, self._options.baud, self._check_stop)

    # --- baud ---

    def _tune(self, number: int) -> None:
        """Look for the board at its first rate, then also at those where a host that died may have left it."""
        if rate_of(self._port) is not None:
            left_at = tuple(rate for rate in FAST_BAUDS for _ in range(2))
            rates = (self._options.baud,) * 8 + left_at
            set_rate(self._port, self._url, rates[number % len(rates)])

    def _negotiate_baud(self) -> None:
        """Go to the fastest rate both ends can make; on trouble stay where we are."""
        before = rate_of(self._port)
        rate = max((baud for baud in self.hello.bauds if baud <= 2_000_000), default=0)
        if before is None or rate <= before:
            return
        self._session.request(Op.BAUD, {1: rate})
        try:
            set_rate(self._port, self._url, rate)  # a server of rfc2217:// may refuse
            self._session.request(Op.PING, {1: rate}, timeout_s=0.2, tries=3)
        except LinkFault:
            set_rate(self._port, self._url, before)
            self._wait(BAUD_FALLBACK_S)
            self._session.request(Op.PING, {1: before})

    def _wait(self, length_s: float) -> None:
        until_s = time.monotonic() + length_s
        while time.monotonic() < until_s:
            self._check_stop()
            time.sleep(STOP_EVERY_S)

    # --- load ---

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
        with self._stopped_by(should_stop):
            return self._load(model_path, sha256, n_ctx, kv_type, epoch, on_progress)

    def _load(
        self,
        model_path: Path,
        sha256: str,
        n_ctx: int,
        kv_type: KvType,
        epoch: int,
        on_progress: Callable[[int, int], None],
    ) -> tuple[LoadResult, tuple[MemoryUse, ...]]:
        size = model_path.stat().st_size
        how, transfer_s, transfer_bytes = "cached", None, 0
        # An attempt that lost the line may have left its run behind, and a busy board takes no model.
        self.cancel(epoch)
        # HELLO is of the time of opening: ask again what the board holds now
        self.hello = parse_hello(
            self._session.hello(self._options.open_timeout_s), can_flash=self.hello.can_flash
        ).hello
        arguments = {1: bytes.fromhex(sha256), 2: n_ctx, 3: _KV_CODE[kv_type], 4: epoch}
        reply = None
        if sha256 in {self.hello.flash_model_sha256, self.hello.ram_model_sha256}:
            reply = self._load_held(arguments)
        if reply is None:
            started = time.monotonic()
            if self.needs_flash(size):
                self._place(model_path, sha256, size)
                how = "flash"
            else:
                self._upload(model_path, sha256, epoch, on_progress)
                how, transfer_bytes = "ram", size
                transfer_s = time.monotonic() - started
            on_progress(size, size)
            reply = self._session.request(Op.LOAD, arguments)
        else:
            on_progress(size, size)
        memory = parse_memory(reply)
        weights = next((use.region for use in memory if use.category == "weights"), "")
        result = LoadResult(
            how=how,
            region=weights,
            load_device_s=get_uint(reply, 1, "load time") / 1e6,
            transfer_s=transfer_s,
            transfer_bytes=transfer_bytes,
            transfer_bytes_per_second=transfer_bytes / transfer_s if transfer_s else None,
            n_ctx=n_ctx,
            kv_type=kv_type.value,
        )
        return result, memory

    def _load_held(self, arguments: Payload) -> Payload | None:
        """LOAD what the board has; None when it was never verified: the line broke before VERIFY got through."""
        try:
            return self._session.request(Op.LOAD, arguments)
        except BoardFault as fault:
            if fault.code != "no_model":
                raise
            return None

    def needs_flash(self, size: int) -> bool:
        """Whether a model cannot be in RAM, or the emulated UART would take minutes (see Board.needs_flash)."""
        room = max((r.available_bytes for r in self.hello.regions if r.kind == "ram"), default=0)
        has_flash = any(r.kind == "flash" and r.available_bytes >= size for r in self.hello.regions)
        if not self.hello.can_flash or not has_flash:
            return False
        slow = (
            self._url.startswith("qemu://")
            and "riscv" not in self.hello.platform
            and size / QEMU_ARM_UPLOAD_BYTES_PER_S > SLOW_UPLOAD_S
        )
        return not self.hello.can_upload or size > room or slow

    def _place(self, model_path: Path, sha256: str, size: int) -> None:
        slot = flash.write_slot(model_path, sha256, self._options.slot_dir)
        close_port(self._port, self._url)
        if flash.emulated(self._url):
            self._open_again(flash.with_slot(self._url, slot))
        else:
            flash.run_flash_tool(self._options.flash_command, self._url, slot, self._check_stop)
            self._open_again(self._url)
        self._connect()
        if self.hello.flash_model_sha256 != sha256:
            raise BoardFault(
                f"{self._url}: the model ({size} bytes) was put into flash, but the board does not"
                " find it there",
                code="flash_verify",
            )

    def _upload(
        self,
        model_path: Path,
        sha256: str,
        epoch: int,
        on_progress: Callable[[int, int], None],
    ) -> None:
        data = model_path.read_bytes()
        digest = bytes.fromhex(sha256)
        reply = self._session.request(Op.UPLOAD, {1: digest, 2: len(data), 3: epoch})
        start = get_uint(reply, 1, "upload position", len(data))
        window = self._link.rx_window_bytes
        if not upload(self._session, data, start, window, on_progress, self._job_stops):
            raise Cancelled
        self._session.request(Op.VERIFY, {1: digest})

    # --- the rest ---

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
            return Runs(self._session, self._url).run(
                prompt_tokens, n_gen, epoch=epoch, on_token=on_token, should_stop=should_stop
            )

    def score(
        self, tokens: Sequence[int], *, epoch: int, should_stop: Callable[[], bool]
    ) -> ScoreReport:
        """Teacher-forced log-likelihood and top-1 (see Board.score)."""
        with self._leaving_no_run(epoch):
            return Runs(self._session, self._url).score(
                tokens, epoch=epoch, should_stop=should_stop
            )

    @contextmanager
    def _leaving_no_run(self, epoch: int) -> Iterator[None]:
        """End a run that is to be stopped: CANCEL, or RESET for a board that does not hear it.

        Raises LinkFault "silence" when RESET is not heard either: then only opening it afresh can help.
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
        reply = self._session.request(Op.STATS)
        self._session.check_boot(reply, 4)
        return parse_stats(reply, self._session.counters)

    def clock(self) -> ClockOffset:
        """Best of five PINGs: half the shortest round trip bounds the error."""
        best: ClockOffset | None = None
        for echo in range(5):
            before = time.monotonic()
            reply = self._session.request(Op.PING, {1: echo})
            after = time.monotonic()
            self._session.check_boot(reply, 3)
            error = (after - before) / 2
            if best is None or error < best.error_s:
                device_s = get_uint(reply, 2, "board time") / 1e6
                at = before + error
                best = ClockOffset(offset_s=at - device_s, error_s=error, at_s=at)
        assert best is not None
        return best

    def answers(self, timeout_s: float) -> bool:
        """Whether the board answers a PING at the first try (see Board.answers)."""
        try:
            reply = self._session.request(Op.PING, timeout_s=timeout_s, tries=1)
        except LinkFault as fault:
            if fault.code != "silence":
                raise
            return False
        self._session.check_boot(reply, 3)
        return True

    def test_memory(self, epoch: int, budget_s: float) -> MemoryTest | None:
        """Write patterns to RAM and read them back (see Board.test_memory)."""
        if not self.hello.features & FEATURE_MEMTEST:
            return None
        return memtest.test_memory(self._session, self.hello.regions, epoch, budget_s)

    def identify(self, duration_s: float) -> None:
        """Have the board blink (see Board.identify)."""
        if not self.hello.features & FEATURE_IDENTIFY:
            raise BoardFault(
                f"{self._url}: the board has no LED to blink, or its firmware is of before link"
                " protocol 1.1",
                code="unsupported",
            )
        self._session.request(Op.IDENTIFY, {1: round(duration_s * 1000)})

    def cancel(self, epoch: int) -> bool:
        """End the run in progress; whether there was one."""
        reply = self._session.request(Op.CANCEL, {1: epoch}, tries=CANCEL_TRIES)
        return get(reply, 1, bool, "cancel reply")

    def reset(self) -> None:
        """Restart the board and wait until it says HELLO again, with another boot id."""
        before = self.hello.boot_id
        self._session.boot_id = None  # its BOOT event may come in one read with the reply
        self._session.request(Op.RESET, tries=RESET_TRIES)
        # A restarted board begins at its first rate.
        set_rate(self._port, self._url, self._options.baud)
        deadline = time.monotonic() + self._options.open_timeout_s
        while True:
            try:
                self._connect()
            except LinkFault as fault:
                # A board with USB of its own takes the port with it, and brings it back.
                gone = fault.code == "port_gone" and not flash.emulated(self._url)
                if not gone or time.monotonic() > deadline:
                    raise
                self._open_again(self._url)
                continue
            if self.hello.boot_id != before:
                return
            if time.monotonic() > deadline:
                raise BoardFault(f"{self._url}: RESET did not restart it", code="reset_failed")

    def inject_fault(self, kind: int, parameter: int = 0) -> None:
        """Operation FAULT of test builds: make the native board misbehave on purpose."""
        self._session.request(Op.FAULT, {1: kind, 2: parameter})
