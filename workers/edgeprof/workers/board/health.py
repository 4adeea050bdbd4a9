"""Whether a board may take jobs: self-tests and host faults, and the cordon that follows from them.

A fault is blamed on the board or on its host (Fault.blame). A board is quarantined, a host is
cordoned with all its boards, and a passed self-test ends both. What `drained` says is a person's
word, and is left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from typing import Protocol

from edgeprof.shared.errors import BoardNotFound, Fault, HostFault, InfrastructureError
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import SELF_TEST
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.telemetry import logs, tracing
from edgeprof.shared.telemetry.context_fields import bound_fields
from edgeprof.shared.types.board import BoardInfo, BoardState
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.description import log_fields
from edgeprof.workers.board.host_checks import check_host, check_tools
from edgeprof.workers.board.host_faults import host_faults
from edgeprof.workers.board.protocols import SelfTestBoard

log = logging.getLogger(__name__)


class Verdict(Enum):
    """What a self-test found out."""

    PASSED = auto()
    FAILED = auto()
    #: A job has the board, Redis is away, or the worker stops: try again later.
    NOT_TESTED = auto()
    #: The test failed, and the board does not answer any more.
    GONE = auto()


class SelfTest(Protocol):
    """Tests an idle board and raises the Fault that it has, as selftest.self_test does."""

    def __call__(self, board: SelfTestBoard, info: BoardInfo, *, epoch: int, suspect: bool) -> None:
        """`epoch` is a fencing token; `suspect` is true for a board that is quarantined already."""
        ...


class Health:
    """Reports the health of one board and of its host to the lab."""

    def __init__(
        self, config: BoardConfig, settings: Settings, info: BoardInfo, store: LabStore
    ) -> None:
        self._config = config
        self._settings = settings
        self._info = info
        self._store = store
        #: What the last self-test found wrong; "" for nothing.
        self._last_failure = ""

    def self_test(self, test: Callable[[], None], reopen: Callable[[], bool]) -> Verdict:
        """Check the host, then run the test, and tell the lab the outcome.

        `test` raises the Fault that the board has. `reopen` is called after a failed test, because
        the board may be in any state; it returns whether the board still answers.
        """
        named = bound_fields(device_id=self._info.device_id, platform=self._info.platform)
        with named, tracing.self_test_span() as span:
            try:
                with host_faults():
                    self._check_machine()
                    test()
            except (InfrastructureError, BoardNotFound) as error:
                log.warning("board %s: not tested: %s", self._info.device_id, error)
                return Verdict.NOT_TESTED
            except Fault as fault:
                if fault.graceful_stop:  # the worker stops: nothing was found out
                    return Verdict.NOT_TESTED
                span.ended("failed", fault)
                self._failed(fault)
                if fault.blame == "host":
                    return Verdict.FAILED  # the board was asked nothing
                return Verdict.FAILED if reopen() else Verdict.GONE
            span.ended("passed", None)
            self._passed()
            return Verdict.PASSED

    def check_after_host_fault(self) -> None:
        """Find out, after a job's host fault, whether this machine can take another job now."""
        try:
            with host_faults():
                self._check_machine()
        except HostFault as fault:
            with suppress(InfrastructureError, BoardNotFound):
                self._cordon_for(fault)

    def _check_machine(self) -> None:
        check_host(self._settings)
        check_tools(self._config)

    def _failed(self, fault: Fault) -> None:
        if str(fault) != self._last_failure:  # log it once, and again when it changes
            self._last_failure = str(fault)
            extra = log_fields(self._info) | {"code": fault.code}
            logs.hardware.warning("Self-test failed: %s", fault, extra=extra)
        with suppress(InfrastructureError, BoardNotFound):
            self._cordon_for(fault)

    def _passed(self) -> None:
        self._last_failure = ""
        with suppress(InfrastructureError, BoardNotFound):  # the next passed test tries again
            self._store.boards.passed_self_test(self._info.device_id)
            if self._store.hosts.uncordon(self._info.host):
                log.warning("host %s is not cordoned any more", self._info.host)
            logs.hardware.info("Self-test passed", extra=log_fields(self._info))

    def _cordon_for(self, fault: Fault) -> None:
        """Cordon the host, or quarantine the board, whichever the fault blames."""
        boards, name, host = self._store.boards, self._info.device_id, self._info.host
        now = boards.cordons(name, host)
        if fault.blame == "host":
            if not now.host:
                log.error("host %s is cordoned: %s", host, fault)
            self._store.hosts.cordon(host, SELF_TEST, str(fault))
        elif now.board is not BoardState.DRAINING:  # a drained board gets no jobs anyway
            for_host = isinstance(fault, HostFault)
            reason = f"failed: {fault}"
            boards.cordon(name, BoardState.QUARANTINED, SELF_TEST, reason, for_host=for_host)
