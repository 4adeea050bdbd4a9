"""From board workers to the host agent that serves their metrics: one datagram an event.

The agent has the registries, so counters outlive a worker, and the agent resets a killed worker's
gauges. This was chosen over prometheus_client's multiprocess mode, which drops exemplars and cannot
remove a label set.
"""

from __future__ import annotations

import logging
import os
import socket
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from edgeprof.shared.errors import FaultClass
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.model import ModelRef
from edgeprof.shared.types.result import CaseResult, MemoryUse, RegionUse
from edgeprof.shared.types.wire import WireModel
from edgeprof.workers.metrics.devices import DeviceMetrics
from edgeprof.workers.metrics.sessions import Refusal, SessionMetrics

log = logging.getLogger(__name__)

#: Tells a worker the inherited descriptor on which its agent receives.
FD_VARIABLE: Final = "EDGEPROF_TELEMETRY_FD"

_LARGEST_BYTES: Final = 1 << 18

#: Becomes an exemplar. A malformed one would raise in the agent, which serves other boards too.
TraceId = Annotated[str, Field(pattern=r"^([0-9a-f]{32})?$")]


class Connected(WireModel):
    """The board answers; `board` is its record."""

    kind: Literal["connected"] = "connected"
    board: BoardInfo


class Waiting(WireModel):
    """No board has answered yet, and this is why."""

    kind: Literal["waiting"] = "waiting"
    reason: str


class Disconnected(WireModel):
    """The board does not answer any more, or its worker stops."""

    kind: Literal["disconnected"] = "disconnected"


class Reading(WireModel):
    """The counters and gauges of an idle board."""

    kind: Literal["reading"] = "reading"
    regions: tuple[RegionUse, ...]
    temperature_celsius: dict[str, float] | None = None
    temperature_emulated: bool = False
    uptime_s: float | None = None
    #: Share of the time since the last reading in which the core was not idle, 0..1.
    cpu_utilization: float | None = None
    power_mw: float | None = None
    #: Counters since boot (board) or since the port was opened (host).
    link: dict[str, int] = Field(default_factory=dict)


class Started(WireModel):
    """An attempt began."""

    kind: Literal["started"] = "started"
    model: ModelRef
    wait_s: float
    trace_id: TraceId


class Ended(WireModel):
    """An attempt ended. `reason` is the class of its fault, if it failed."""

    kind: Literal["ended"] = "ended"
    test_type: str
    duration_s: float
    reason: FaultClass | None
    trace_id: TraceId


class Loaded(WireModel):
    """How the model of a job that succeeded got onto the board."""

    kind: Literal["loaded"] = "loaded"
    model: ModelRef
    memory: tuple[MemoryUse, ...]
    how: str
    load_s: float
    trace_id: TraceId


class Measured(WireModel):
    """One test case of a job that succeeded, without tokens and text."""

    kind: Literal["measured"] = "measured"
    model: ModelRef
    case: CaseResult
    energy_per_token_mj: float | None
    trace_id: TraceId


class Refused(WireModel):
    """Messages that edgeprof did not write were dropped: `counts` since the last such event."""

    kind: Literal["refused"] = "refused"
    counts: dict[Refusal, Annotated[int, Field(gt=0)]]


Event = Connected | Waiting | Disconnected | Reading | Started | Ended | Loaded | Measured | Refused
_EVENT: Final[TypeAdapter[Event]] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])


class Sender:
    """The worker's end. It never blocks or raises: metrics are not worth a measurement."""

    def __init__(self, sock: socket.socket | None) -> None:
        self._socket = sock

    @classmethod
    def inherited(cls) -> Sender:
        """Use the descriptor that the agent passed, if this process has an agent."""
        number = os.environ.pop(FD_VARIABLE, None)
        return cls(None if number is None else socket.socket(fileno=int(number)))

    def send(self, event: Event) -> bool:
        """Send the agent an event; False when it is lost."""
        if self._socket is None:
            return False
        try:
            self._socket.send(event.model_dump_json().encode(), socket.MSG_DONTWAIT)
        except OSError as error:  # full, too large, or nobody there
            log.debug("metrics of one event are lost: %s", error)
            return False
        return True


class Receiver:
    """The agent's end for one worker: applies events to the host's metrics."""

    def __init__(self, sessions: SessionMetrics, devices: DeviceMetrics) -> None:
        self.socket, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self._sessions = sessions
        self._devices = devices
        self._board: BoardInfo | None = None
        #: Why no board has answered yet; "" once one has, and during the first try.
        self.waiting = ""

    @property
    def worker_fd(self) -> int:
        """The descriptor that the worker inherits."""
        return self._theirs.fileno()

    @property
    def board_seen(self) -> bool:
        """Whether a board of ours has answered this worker, or one before it."""
        return self._board is not None

    @property
    def uid(self) -> str:
        """The uid of the board that has answered; "" for none."""
        return self._board.uid if self._board else ""

    def drain(self) -> None:
        """Apply all events that have come."""
        while True:
            try:
                data = self.socket.recv(_LARGEST_BYTES)
            except BlockingIOError:
                return
            try:
                self._apply(_EVENT.validate_json(data))
            except ValidationError as error:
                log.warning("a worker's event is not understood: %s", one_line(str(error), 300))

    def worker_ended(self) -> None:
        """Reset what a killed worker leaves behind."""
        self.drain()
        self._apply(Disconnected())

    def close(self) -> None:
        """Close both ends."""
        self.socket.close()
        self._theirs.close()

    def _apply(self, event: Event) -> None:
        if isinstance(event, Connected):
            self._board, self.waiting = event.board, ""
            self._sessions.board_known(event.board.device_id, event.board.platform)
            self._devices.connected(event.board)
            return
        if self._board is None:
            if isinstance(event, Waiting):
                self.waiting = one_line(event.reason, 300)
            return
        device_id, platform = self._board.device_id, self._board.platform
        match event:
            case Disconnected():
                self._sessions.idle(device_id, platform)
                self._devices.disconnected(device_id)
            case Reading():
                self._devices.read(
                    device_id,
                    event.regions,
                    celsius=event.temperature_celsius,
                    temperature_emulated=event.temperature_emulated,
                    uptime_s=event.uptime_s,
                    cpu_utilization=event.cpu_utilization,
                    power_mw=event.power_mw,
                    link=event.link,
                )
            case Started():
                self._sessions.started(
                    device_id, platform, event.model, event.wait_s, event.trace_id
                )
            case Ended():
                self._sessions.ended(
                    device_id,
                    platform,
                    test_type=event.test_type,
                    duration_s=event.duration_s,
                    reason=event.reason,
                    trace_id=event.trace_id,
                )
            case Loaded():
                self._sessions.models.loaded(
                    platform,
                    event.model,
                    event.memory,
                    how=event.how,
                    load_s=event.load_s,
                    trace_id=event.trace_id,
                )
            case Measured():
                self._sessions.models.measured(
                    platform, event.model, event.case, event.energy_per_token_mj, event.trace_id
                )
            case Refused():
                self._sessions.refused(device_id, platform, event.counts)
