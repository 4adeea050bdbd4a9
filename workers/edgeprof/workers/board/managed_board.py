"""One board as the lab sees it: opened, locked, announced, probed while idle, reopened after a fault."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from importlib.metadata import version

from edgeprof.shared.errors import BoardFault, Fault, HostFault, InfrastructureError, LinkFault
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import PORT_RELEASED, SELF_TEST, Owner
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.telemetry import logs, tracing
from edgeprof.shared.telemetry.about import about
from edgeprof.shared.telemetry.tracing import DISTRIBUTION
from edgeprof.shared.telemetry.trouble import Troubles
from edgeprof.shared.types.board import BoardInfo, BoardState
from edgeprof.workers.board.board import Board, BoardStats
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.host_checks import check_host, check_tools
from edgeprof.workers.board.host_faults import host_faults
from edgeprof.workers.board.locks import BoardClaim
from edgeprof.workers.board.reset import reset
from edgeprof.workers.metrics.telemetry import Connected, Disconnected, Reading, Sender

log = logging.getLogger(__name__)

#: Opens what is on a port; the last argument says whether nobody waits for it any more.
Open = Callable[[BoardConfig, Settings, Callable[[], bool]], Board]

#: How long after its grace a job that was told to stop may still take to leave its board clean.
_TIDY_S = 0.7

_REOPEN_TRIES = 2


class Verdict(Enum):
    """What became of a self-test."""

    PASSED = auto()
    FAILED = auto()
    #: A job has the board, or the store is away: to be tried again.
    NOT_TESTED = auto()
    #: It failed, and does not answer any more.
    GONE = auto()


class Bench:
    """A board that is ours from acquire() to release().

    One thread at a time talks to the board: a job (inside `in_use`) or the probe of an idle board.
    """

    board: Board
    info: BoardInfo
    store: LabStore

    def __init__(
        self,
        config: BoardConfig,
        settings: Settings,
        open_board: Open,
        telemetry: Sender | None = None,
    ) -> None:
        #: For a watched port, what holds for the board that answers there, once it has.
        self.config = config
        self.telemetry = telemetry or Sender(None)
        #: Whether the port is closed, for another program to use it.
        self.released = False
        #: Why the board could not be opened again; "" when nobody knows more than that it is silent.
        self.gone_because = ""
        self._told = Troubles(log)
        self._stats: BoardStats | None = None
        self._too_hot: set[str] = set()
        self._settings = settings
        self._open_board = open_board
        self._lock = threading.Lock()
        #: What the last self-test found.
        self._ailment = ""
        self._has_job = False
        self._leaving: Callable[[], bool] = lambda: False
        self._leaving_since_s: float | None = None

    @property
    def node(self) -> str:
        """The Celery node's name; unlike `celery@host`, exporters keep it apart from its neighbours."""
        return f"w@{self.info.device_id}.{self.info.host}"

    def acquire(self, leaving: Callable[[], bool] = lambda: False) -> None:
        """Reach the store, open the board, make it ours and say so. Raises EdgeprofError.

        `leaving` says whether the worker is to end: from then on nothing waits for the board.
        """
        self._leaving = leaving
        store = LabStore.open(self._settings)
        claim = None
        try:
            self._leave_to_others(store)
            claim = BoardClaim(self._settings.lock_dir)
            board = self._open()
            try:
                info = describe(board, self.config, self._settings)
                claim.take("board", info.device_id)
                claim.take("uid", info.uid)
                self._owner = Owner(host=info.host, lock_domain=claim.lock_domain, uid=info.uid)
                store.boards.announce(self._owner, info, self._settings.board_ttl_s)
            except BaseException:
                board.close()
                raise
        except BaseException:
            store.close()
            if claim is not None:
                claim.close()
            raise
        self.claim, self.store, self.board, self.info = claim, store, board, info
        self.telemetry.send(Connected(board=info))
        logs.operations.info("Device connected", extra=self.context())

    def _unwanted(self) -> bool:
        """Whether nothing is to wait for the board: the worker stops, and no job has time left."""
        if not self._leaving():
            return False
        if self._leaving_since_s is None:
            self._leaving_since_s = time.monotonic()
        spent_s = time.monotonic() - self._leaving_since_s
        return not self._has_job or spent_s > self._settings.stop_grace_s + _TIDY_S

    def _check_stop(self) -> None:
        if self._unwanted():
            raise HostFault("the board worker was stopped", code="worker_stopped")

    def _leave_to_others(self, store: LabStore) -> None:
        """Raise HostFault when the board that was last on this port had it released: a debugger may have it."""
        for known in store.boards.all():
            mine = (known.host, known.url) == (self._settings.host, self.config.port)
            if mine and store.boards.port_wanted(known.device_id):
                raise HostFault(
                    f"the port of board {known.device_id} is released to another program",
                    code="port_released",
                    hint=f"edgeprof boards resume {known.device_id}",
                )

    def release_port(self) -> bool:
        """Close the port for another program, and say so; False while a job has the board."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            with suppress(Fault):
                self.board.close()
            self.released = True
            self.info = self.info.model_copy(update={"reason": PORT_RELEASED})
            logs.operations.info("Port released", extra=self.context())
            return True
        finally:
            self._lock.release()

    def _open(self) -> Board:
        """Open what is on the port, as it is told for the board that answers there."""
        try:
            board = self._open_board(self.config, self._settings, self._unwanted)
        except (BoardFault, LinkFault):
            if self.config.reset is None:
                raise
            reset(self.config, self._check_stop)
            board = self._open_board(self.config, self._settings, self._unwanted)
        mine = self.config.of(board.hello.uid)
        if mine == self.config:
            return board
        board.close()
        self.config = mine
        return self._open_board(mine, self._settings, self._unwanted)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the board for a job: the probe stays away."""
        with self._lock:
            self._has_job = True
            try:
                yield
            finally:
                self._has_job = False

    def note_upload(self, bytes_per_s: float | None) -> None:
        """Have the lab know how fast a model went over the link, if one did: timeouts are made of it."""
        if bytes_per_s is not None:
            self.info = self.info.model_copy(update={"upload_bytes_per_s": bytes_per_s})

    def announce(self, state: BoardState | None = None, job_id: str | None = None) -> None:
        """Tell the lab; without a state, just that we live. Raises BoardClash."""
        if state is not None:
            self.info = self.info.model_copy(update={"state": state, "job_id": job_id})
        try:
            self.store.boards.announce(self._owner, self.info, self._settings.board_ttl_s)
        except InfrastructureError as error:  # the next beat announces it again
            self._told.say("store", f"board {self.info.device_id}: {error}; trying on")
        else:
            self._told.well("store", f"board {self.info.device_id}: Redis is back")

    def unplugged(self) -> bool:
        """Whether the board's port is gone. Cheap: no byte is sent, so a busy board can be looked at too."""
        return not self.released and not self.board.plugged_in()

    def announce_unplugged(self) -> None:
        """Show a busy board whose port is gone as offline, until its job has noticed and ended."""
        gone = {"state": BoardState.OFFLINE, "reason": "its port is gone"}
        with suppress(InfrastructureError):
            info = self.info.model_copy(update=gone)
            self.store.boards.announce(self._owner, info, self._settings.board_ttl_s)

    def withdraw(self, reason: str) -> None:
        """Say goodbye with the reason; the board is shown as offline from now on."""
        with suppress(InfrastructureError, Fault):
            self.store.boards.withdraw(self._owner, self.info, reason)

    def probe(self) -> bool:
        """Ask an idle board how it is; False when it is gone for good. A busy one is not asked."""
        if not self._lock.acquire(blocking=False):
            return True
        try:
            try:
                stats = self.board.stats()
            except Fault as fault:
                if fault.graceful_stop:
                    return True
                logs.hardware.warning("%s", fault, extra=self.context() | {"code": fault.code})
                return self.reopen()
            self._read(stats)
            return True
        finally:
            self._lock.release()

    def self_test(self, test: Callable[[Bench], None]) -> Verdict:
        """Test the board unless it is busy: one that fails is quarantined, one that passes is back."""
        if not self._lock.acquire(blocking=False):
            return Verdict.NOT_TESTED
        try:
            named = about(device_id=self.info.device_id, platform=self.info.platform)
            with named, tracing.self_test_span() as span:
                return self._self_test(test, span)
        finally:
            self._lock.release()

    def _self_test(self, test: Callable[[Bench], None], span: tracing.AttemptSpan) -> Verdict:
        try:
            with host_faults():
                check_host(self._settings)
                check_tools(self.config)
                test(self)
        except InfrastructureError as error:
            log.warning("board %s: not tested: %s", self.info.device_id, error)
            return Verdict.NOT_TESTED
        except Fault as fault:
            if fault.graceful_stop:  # the worker stops: nothing was found out
                return Verdict.NOT_TESTED
            span.ended("failed", fault)
            if str(fault) != self._ailment:  # told once, and again when it changes
                self._ailment = str(fault)
                extra = self.context() | {"code": fault.code}
                logs.hardware.warning("Self-test failed: %s", fault, extra=extra)
            with suppress(InfrastructureError):
                self._hold_for(fault)
            if fault.blame == "host":
                return Verdict.FAILED  # nothing was asked of the board
            return Verdict.FAILED if self.reopen() else Verdict.GONE
        span.ended("passed", None)
        self._ailment = ""
        with suppress(InfrastructureError):  # the next one says it again
            self.store.boards.passed_self_test(self.info.device_id)
            if self.store.hosts.uncordon(self.info.host):
                log.warning("host %s is not cordoned any more", self.info.host)
            logs.hardware.info("Self-test passed", extra=self.context())
        return Verdict.PASSED

    def blame_host(self) -> None:
        """Find out, after a host fault, whether this machine or this board can take another job now."""
        try:
            with host_faults():
                check_host(self._settings)
                check_tools(self.config)
        except HostFault as fault:
            with suppress(InfrastructureError):
                self._hold_for(fault)

    def _hold_for(self, fault: Fault) -> None:
        """Cordon the host, or quarantine the board, whichever a failed test blames.

        A board that somebody drained gets no jobs anyway, and stays drained.
        """
        boards, name, host = self.store.boards, self.info.device_id, self.info.host
        held = boards.cordons(name, host)
        if fault.blame == "host":
            if not held.host:
                log.error("host %s is cordoned: %s", host, fault)
            self.store.hosts.cordon(host, SELF_TEST, str(fault))
        elif held.board is not BoardState.DRAINING:
            for_host = isinstance(fault, HostFault)
            said = f"failed: {fault}"
            boards.cordon(name, BoardState.QUARANTINED, SELF_TEST, said, for_host=for_host)

    def identify(self, duration_s: float = 10.0) -> bool:
        """Have the board blink, so that a person finds it; False when a job has it. At most 60 s, 0 ends it.

        Raises BoardFault "unsupported" when it has no LED, or firmware that does not know how.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self.board.identify(duration_s)
            return True
        finally:
            self._lock.release()

    def reopen(self) -> bool:
        """Close the board and open it afresh, for whoever has it in use; False: it is gone."""
        with suppress(Fault):
            self.board.close()
        self.gone_because = ""
        for number in range(_REOPEN_TRIES):
            try:
                if number > 0:
                    reset(self.config, self._check_stop)
                board = self._open_board(self.config, self._settings, self._unwanted)
            except Fault as fault:
                if fault.graceful_stop:
                    return False
                if str(fault) != self.gone_because:
                    self.gone_because = str(fault)
                    log.warning("board %s: %s", self.info.device_id, fault)
                continue
            if board.hello.uid == self.info.uid:
                self.board = board
                return True
            log.error("board %s: another board answers on its port", self.info.device_id)
            board.close()
            return False
        return False

    def release(self, reason: str) -> None:
        """Say goodbye with the reason and let go of everything."""
        self.withdraw(reason)
        with self._lock, suppress(Fault):
            if not self.released:
                self.board.close()
        self.telemetry.send(Disconnected())
        logs.operations.info("Device disconnected: %s", reason, extra=self.context())
        self.store.close()
        self.claim.close()

    def _read(self, stats: BoardStats) -> None:
        """Publish what the board says of itself, and log what somebody should look at."""
        before, self._stats = self._stats, stats
        cpu = None
        if before is not None and before.boot_id == stats.boot_id:
            spent_us = stats.uptime_us - before.uptime_us
            if spent_us > 0:
                cpu = 1 - min(max(stats.idle_us - before.idle_us, 0) / spent_us, 1.0)
        self.telemetry.send(
            Reading(
                regions=stats.regions,
                temperature_celsius=stats.temperature_celsius,
                temperature_emulated=stats.temperature_emulated,
                uptime_s=stats.uptime_us / 1e6,
                cpu_utilization=cpu,
                link=stats.link,
            )
        )
        self._watch_temperature(stats)

    def _watch_temperature(self, stats: BoardStats) -> None:
        limit = self._settings.temperature_limit_c
        for location, celsius in (stats.temperature_celsius or {}).items():
            if celsius > limit and location not in self._too_hot:
                self._too_hot.add(location)
                logs.hardware.warning(
                    "High device temperature",
                    extra=self.context()
                    | {
                        "sensor_location": location,
                        "temperature_celsius": celsius,
                        "threshold_celsius": limit,
                        "emulated": stats.temperature_emulated,
                    },
                )
            elif celsius <= limit and location in self._too_hot:
                self._too_hot.discard(location)
                logs.hardware.info(
                    "Device temperature back to normal",
                    extra=self.context() | {"temperature_celsius": celsius},
                )

    def context(self) -> dict[str, str]:
        """Return what every log line about this board carries."""
        return {
            "device_id": self.info.device_id,
            "platform": self.info.platform,
            "port": self.info.url,
            "firmware_version": self.info.firmware_version,
        }


def describe(board: Board, config: BoardConfig, settings: Settings) -> BoardInfo:
    """Turn HELLO and configuration into what the lab is told. Raises BoardFault, HostFault."""
    hello = board.hello
    if config.platform not in {None, hello.platform}:
        raise BoardFault(
            f"the board on {config.url} is a {hello.platform}, not a {config.platform}",
            code="wrong_platform",
            hint="correct boards.toml, or plug in the board it means",
        )
    try:
        return BoardInfo(
            device_id=config.id or f"{hello.platform}-{hello.uid[:8]}",
            platform=hello.platform,
            host=settings.host,
            url=config.port,
            tags=config.tags,
            agent_version=version(DISTRIBUTION),
            uid=hello.uid,
            state=BoardState.BUSY,  # until its worker has tested it
            emulated=hello.emulated,
            firmware_version=hello.firmware_version,
            firmware_git_hash=hello.firmware_git_hash,
            toolchain=hello.toolchain,
            protocol=hello.protocol,
            clock_hz=hello.clock_hz,
            timer_name=hello.timer_name,
            timer_resolution_ns=hello.timer_resolution_ns,
            regions=hello.regions,
            kernels=hello.kernels,
            n_ctx_max=hello.n_ctx_max,
            can_flash=hello.can_flash,
            can_upload=hello.can_upload,
        )
    except ValueError as error:
        raise HostFault(
            f"the board on {config.url} describes itself in words we cannot use: {error}",
            code="hello",
        ) from None
