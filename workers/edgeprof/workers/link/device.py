"""A Board behind docs/link-protocol.md: open, load, run, score, and read back what was measured."""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import serial

from edgeprof.shared.errors import BoardFault, HostFault, LinkFault
from edgeprof.shared.jobs import KvType
from edgeprof.shared.results import LoadResult, MemoryUse, RegionUse
from edgeprof.workers import flash, serial_urls
from edgeprof.workers.board import BoardStats, Cancelled, ClockOffset, RunReport, ScoreReport
from edgeprof.workers.link.hello import U32, parse_hello, region_kind
from edgeprof.workers.link.messages import (
    Event,
    Op,
    Payload,
    RunState,
    get,
    get_list,
    get_map,
    get_text,
    get_uint,
)
from edgeprof.workers.link.portlock import PortLock
from edgeprof.workers.link.session import POLL_S, LinkSession, Message

OPEN_TIMEOUT_S = 10.0
DEFAULT_BAUD = 115200
SILENCE_S = 2.0
SILENCE_TRIES = 3
RESULT_PAGE = 64
PROMPT_PAGE = 128
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


def open_board(url: str, options: OpenOptions) -> LinkBoard:
    """Lock the port, open it and wait for HELLO.

    Raises HostFault (busy, absent, no permission), LinkFault (nothing of ours answers, other version).
    """
    lock = PortLock(url, options.lock_dir)
    try:
        return LinkBoard(url, options, lock)
    except BaseException:
        lock.release()
        raise


def open_port(url: str, baud: int) -> serial.SerialBase:
    """Open a pyserial URL; raises HostFault that says why not and what to do."""
    serial_urls.register()
    try:
        port = serial.serial_for_url(url, baudrate=baud, do_not_open=True)
        if isinstance(port, serial.Serial):
            port.exclusive = True  # a terminal program left open would eat half of the bytes
        port.write_timeout = 10.0
        port.open()
    except (serial.SerialException, OSError, ValueError) as error:
        raise _open_fault(url, error) from error
    return port


def _open_fault(url: str, error: Exception) -> HostFault:
    number = getattr(error, "errno", None)
    if number == errno.EACCES:
        return HostFault(
            f"{url}: no permission to open the port",
            code="port_denied",
            hint="add yourself to the group that owns it: sudo usermod -aG dialout $USER",
        )
    if number in {errno.EBUSY, errno.EWOULDBLOCK} or "exclusively lock" in str(error):
        return HostFault(
            f"{url}: the port is busy",
            code="port_busy",
            hint="another program has it open (a serial monitor?): lsof names it",
        )
    if number in {errno.ENOENT, errno.ENODEV, errno.ENXIO}:
        return HostFault(
            f"{url}: no such port", code="port_absent", hint="is the board plugged in and powered?"
        )
    return HostFault(f"{url}: cannot open: {error}", code="port_failed")


class LinkBoard:
    """One open board. Made by open_board()."""

    def __init__(self, url: str, options: OpenOptions, lock: PortLock) -> None:
        self._url = url
        self._options = options
        self._lock = lock
        self._port = open_port(url, options.baud)
        try:
            self._connect()
        except BaseException:
            self._port.close()
            raise

    def _connect(self) -> None:
        self._session = LinkSession(self._port, self._url)
        reply = self._session.hello(self._options.open_timeout_s)
        can_flash = flash.emulated(self._url) or bool(self._options.flash_command)
        self._link = parse_hello(reply, can_flash=can_flash)
        self.hello = self._link.hello
        self._negotiate_baud()

    def close(self) -> None:
        """Close the port and let others have it."""
        self._port.close()
        self._lock.release()

    # --- baud ---

    def _negotiate_baud(self) -> None:
        """Go to the fastest rate both ends can make; on trouble stay where we are."""
        if not isinstance(self._port, serial.Serial):
            return
        rate = max((baud for baud in self.hello.bauds if baud <= 2_000_000), default=0)
        if rate <= self._port.baudrate:
            return
        before = self._port.baudrate
        self._session.request(Op.BAUD, {1: rate})
        self._port.baudrate = rate
        try:
            self._session.request(Op.PING, {1: rate}, timeout_s=0.2, tries=3)
        except LinkFault:
            self._port.baudrate = before
            time.sleep(1.1)  # the board falls back by itself after 1 s (protocol, BAUD)
            self._session.request(Op.PING, {1: before})

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
        size = model_path.stat().st_size
        how, transfer_s, transfer_bytes = "cached", None, 0
        # HELLO is of the time of opening: ask again what the board holds now
        self.hello = parse_hello(
            self._session.hello(self._options.open_timeout_s), can_flash=self.hello.can_flash
        ).hello
        if sha256 not in {self.hello.flash_model_sha256, self.hello.ram_model_sha256}:
            started = time.monotonic()
            if self._should_flash(size):
                self._place(model_path, sha256, size)
                how = "flash"
            else:
                self._upload(model_path, sha256, epoch, on_progress, should_stop)
                how, transfer_bytes = "ram", size
                transfer_s = time.monotonic() - started
        on_progress(size, size)
        reply = self._session.request(
            Op.LOAD,
            {1: bytes.fromhex(sha256), 2: n_ctx, 3: _KV_CODE[kv_type], 4: epoch},
        )
        memory = tuple(_memory_use(item) for item in get_list(reply, 3, "memory list", 16))
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

    def _should_flash(self, size: int) -> bool:
        """Flash where the model cannot be in RAM, or where the emulated UART would take minutes."""
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
        self._port.close()
        if flash.emulated(self._url):
            self._port = open_port(flash.with_slot(self._url, slot), self._options.baud)
        else:
            flash.run_flash_tool(self._options.flash_command, self._url, slot)
            self._port = open_port(self._url, self._options.baud)
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
        should_stop: Callable[[], bool],
    ) -> None:
        data = model_path.read_bytes()
        digest = bytes.fromhex(sha256)
        reply = self._session.request(Op.UPLOAD, {1: digest, 2: len(data), 3: epoch})
        start = get_uint(reply, 1, "upload position", len(data))
        window = self._link.rx_window_bytes
        if not self._session.upload(data, start, window, on_progress, should_stop):
            raise Cancelled
        self._session.request(Op.VERIFY, {1: digest})

    # --- run and score ---

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
        self._stage(prompt_tokens)
        run_id = random.randint(1, U32)  # noqa: S311 - a name, not a secret
        sent = time.monotonic()
        first_token: list[float] = []
        streamed: dict[int, int] = {}

        def on_event(message: Message) -> None:
            payload = message.payload
            if payload.get(0) == Event.TOKEN and payload.get(1) == run_id:
                index = get_uint(payload, 2, "token index", n_gen - 1)
                token = get_uint(payload, 3, "token", U32)
                if not first_token:
                    first_token.append(time.monotonic())
                streamed[index] = token
                on_token(index, token)

        self._session.request(Op.RUN, {1: run_id, 2: n_gen, 3: epoch}, on_event=on_event)
        self._follow(run_id, epoch, on_event, should_stop)
        head, entries = self._read_entries(run_id, n_gen)
        done = time.monotonic()
        tokens = tuple(token for token, _ in entries)
        if any(tokens[index] != token for index, token in streamed.items()):
            raise BoardFault(
                f"{self._url}: streamed tokens differ from the result", code="inconsistent"
            )
        return RunReport(
            tokens=tokens,
            prefill_us=get_uint(head, 5, "prefill time"),
            step_us=tuple(cast("int", us) for _, us in entries[1:]),
            idle_us=get_uint(head, 9, "idle time") if 9 in head else None,
            start_us=get_uint(head, 4, "start time"),
            end_us=get_uint(head, 7, "end time"),
            host_sent_s=sent,
            host_first_token_s=first_token[0] if first_token else None,
            host_done_s=done,
        )

    def score(
        self, tokens: Sequence[int], *, epoch: int, should_stop: Callable[[], bool]
    ) -> ScoreReport:
        """Teacher-forced log-likelihood and top-1 (see Board.score)."""
        self._stage(tokens)
        run_id = random.randint(1, U32)  # noqa: S311
        self._session.request(Op.SCORE, {1: run_id, 2: epoch})
        self._follow(run_id, epoch, lambda _: None, should_stop)
        head, entries = self._read_entries(run_id, len(tokens) - 1)
        return ScoreReport(
            top1=tuple(token for token, _ in entries),
            log_likelihood_nats=tuple(float(value) for _, value in entries),
            start_us=get_uint(head, 4, "start time"),
            end_us=get_uint(head, 7, "end time"),
        )

    def _stage(self, tokens: Sequence[int]) -> None:
        for offset in range(0, len(tokens), PROMPT_PAGE):
            page = list(tokens[offset : offset + PROMPT_PAGE])
            reply = self._session.request(Op.PROMPT, {1: offset, 2: page})
            if get_uint(reply, 1, "number of staged tokens", U32) != offset + len(page):
                raise BoardFault(f"{self._url}: the board lost prompt tokens", code="inconsistent")

    def _follow(
        self,
        run_id: int,
        epoch: int,
        on_event: Callable[[Message], None],
        should_stop: Callable[[], bool],
    ) -> None:
        """Watch a run until it is done; what is measured is read later, by RESULT."""
        heard, unanswered = time.monotonic(), 0
        while True:
            if should_stop():
                self.cancel(epoch)
                raise Cancelled
            message = self._session.receive(POLL_S)
            if message is not None:
                heard, unanswered = time.monotonic(), 0
                on_event(message)
                if message.payload.get(0) == Event.DONE and message.payload.get(1) == run_id:
                    return
            elif time.monotonic() - heard > SILENCE_S:
                try:
                    head = self._session.request(
                        Op.RESULT,
                        {1: run_id, 2: 0, 3: 0},
                        on_event=on_event,
                        tries=1,
                        timeout_s=1.0,
                    )
                except BoardFault as fault:
                    if fault.code != "no_run":
                        raise
                    raise BoardFault(
                        f"{self._url}: the board forgot the run: it rebooted", code="rebooted"
                    ) from fault
                except LinkFault as fault:
                    if fault.code != "silence":
                        raise
                    unanswered += 1
                    if unanswered >= SILENCE_TRIES:
                        raise BoardFault(
                            f"{self._url}: the board has been silent for"
                            f" {time.monotonic() - heard:.0f} s in the middle of a run",
                            code="hung",
                        ) from fault
                else:
                    self._session.check_boot(head, 3)
                    heard, unanswered = time.monotonic(), 0
                    if get_uint(head, 1, "run state", 3) != RunState.RUNNING:
                        return

    def _read_entries(
        self, run_id: int, expected: int
    ) -> tuple[Payload, list[tuple[int, int | float]]]:
        entries: list[tuple[int, int | float]] = []
        while True:
            head = self._session.request(
                Op.RESULT, {1: run_id, 2: len(entries), 3: min(RESULT_PAGE, expected)}
            )
            self._session.check_boot(head, 3)
            state = get_uint(head, 1, "run state", 3)
            if state != RunState.DONE:
                raise BoardFault(
                    f"{self._url}: the run ended as {RunState(state).name.lower()}",
                    code="run_failed",
                )
            page = get_list(head, 6, "result entries", RESULT_PAGE)
            for item in page:
                if not isinstance(item, list) or len(item) != 2:
                    raise LinkFault(f"{self._url}: malformed result entry", code="bad_reply")
                token, value = item
                if not isinstance(token, int) or not isinstance(value, int | float) or token < 0:
                    raise LinkFault(f"{self._url}: malformed result entry", code="bad_reply")
                entries.append((token, value))
            if len(entries) == expected:
                return head, entries
            if not page or len(entries) > expected:
                raise BoardFault(
                    f"{self._url}: {len(entries)} result entries, expected {expected}",
                    code="inconsistent",
                )

    # --- the rest ---

    def stats(self) -> BoardStats:
        """Counters and gauges since boot."""
        reply = self._session.request(Op.STATS)
        self._session.check_boot(reply, 4)
        link = get_map(reply.get(6), "link counters")
        names = ("rx_frames", "rx_errors", "rx_overruns", "tx_frames", "tx_dropped_events")
        counters = {name: get_uint(link, i, name) for i, name in enumerate(names, 1)}
        return BoardStats(
            uptime_us=get_uint(reply, 1, "uptime"),
            idle_us=get_uint(reply, 2, "idle time"),
            busy_us=get_uint(reply, 3, "busy time"),
            boot_id=get_uint(reply, 4, "boot id", U32),
            regions=tuple(_region_use(item) for item in get_list(reply, 5, "regions", 8)),
            link={**counters, **self._session.counters},
            temperature_celsius=_temperatures(reply),
            temperature_emulated=reply.get(8) is True,
        )

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
                best = ClockOffset(offset_s=before + error - device_s, error_s=error)
        assert best is not None
        return best

    def cancel(self, epoch: int) -> bool:
        """End the run in progress; whether there was one."""
        return get(self._session.request(Op.CANCEL, {1: epoch}), 1, bool, "cancel reply")

    def reset(self) -> None:
        """Restart the board and wait until it says HELLO again, with another boot id."""
        before = self.hello.boot_id
        self._session.boot_id = None  # its BOOT event may come in one read with the reply
        self._session.request(Op.RESET)
        deadline = time.monotonic() + self._options.open_timeout_s
        while True:
            try:
                self._connect()
            except LinkFault as fault:
                # A board with USB of its own takes the port with it, and brings it back.
                if fault.code != "port_gone" or flash.emulated(self._url):
                    raise
                self._port.close()
                self._port = open_port(self._url, self._options.baud)
                continue
            if self.hello.boot_id != before:
                return
            if time.monotonic() > deadline:
                raise BoardFault(f"{self._url}: RESET did not restart it", code="reset_failed")

    def inject_fault(self, kind: int, parameter: int = 0) -> None:
        """Operation FAULT of test builds: make the native board misbehave on purpose."""
        self._session.request(Op.FAULT, {1: kind, 2: parameter})


def _memory_use(item: object) -> MemoryUse:
    fields = get_map(item, "memory entry")
    return MemoryUse(
        category=get_text(fields, 1, "memory category", 16),
        region=get_text(fields, 2, "region name", 16),
        used_bytes=get_uint(fields, 3, "memory size", U32),
    )


def _region_use(item: object) -> RegionUse:
    fields = get_map(item, "region")
    return RegionUse(
        name=get_text(fields, 1, "region name", 16),
        kind=region_kind(get_uint(fields, 2, "region kind", 255)),
        total_bytes=get_uint(fields, 3, "region size", U32),
        used_bytes=get_uint(fields, 4, "region use", U32),
        high_water_bytes=get_uint(fields, 5, "region high water", U32),
    )


def _temperatures(reply: Payload) -> dict[str, float] | None:
    if 7 not in reply:
        return None
    found: dict[str, float] = {}
    for item in get_list(reply, 7, "temperatures", 8):
        if not isinstance(item, list) or len(item) != 2:
            raise LinkFault("malformed temperature", code="bad_reply")
        location, millidegrees = item
        if not isinstance(location, str) or not isinstance(millidegrees, int):
            raise LinkFault("malformed temperature", code="bad_reply")
        found[location[:16]] = millidegrees / 1000
    return found
