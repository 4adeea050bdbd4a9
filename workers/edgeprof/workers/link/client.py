"""Requests over a serial port: one at a time, repeated until answered, carried out at most once.

docs/link-protocol.md, sections 3 and 9.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import serial

from edgeprof.shared.errors import BoardFault, LinkFault
from edgeprof.workers.link.framing import MAX_FRAME_BYTES, Decoder, Frame, Kind, encode
from edgeprof.workers.link.messages import (
    PROTOCOL,
    Event,
    Op,
    Payload,
    dump,
    fault_of,
    get_uint,
    load,
)
from edgeprof.workers.link.port import CheckStop, rate_of, read_port, write_port
from edgeprof.workers.link.port_faults import others_on

FIRST_TIMEOUT_S = 0.5
MAX_TIMEOUT_S = 4.0
TRIES = 5
#: UPLOAD, VERIFY and LOAD: clearing, hashing and checking take the board's time, so it has a minute. Asked again
#: sooner than that, or one lost frame would cost the minute; what it answers is the same.
SLOW_TIMEOUT_S = 4.0
SLOW_TRIES = 15
HELLO_EVERY_S = 0.25
POLL_S = 0.05
#: How long a wait goes on before it is asked whether anybody still wants it.
STOP_EVERY_S = 0.1
SLOW_BELOW_BAUD = 115200

_SLOW = {Op.VERIFY, Op.LOAD, Op.UPLOAD}


@dataclass(frozen=True, slots=True)
class Message:
    """A frame whose payload is a valid map."""

    kind: Kind
    seq: int
    payload: Payload


class LinkSession:
    """One open serial port to one board. Not thread-safe.

    Whatever it waits for, `check_stop` is called some times a second, and may raise.
    """

    def __init__(
        self, port: serial.SerialBase, name: str, check_stop: CheckStop = lambda: None
    ) -> None:
        self._port = port
        self._check_stop = check_stop
        self.name = name
        self._decoder = Decoder()
        self._inbox: deque[Message] = deque()
        self._seq = random.randint(1, 65535)  # noqa: S311 - only to differ from the session before
        self.data_seq = 0  # upload's counter
        self.boot_id: int | None = None
        self.retransmits = 0
        self._bytes_sent = 0

    @property
    def counters(self) -> dict[str, int]:
        """What this end of the link has seen."""
        return {
            "host_rx_frames": self._decoder.frames,
            "host_rx_errors": self._decoder.errors,
            "host_rx_bytes": self._decoder.bytes_seen,
            "host_tx_bytes": self._bytes_sent,
            "retransmits": self.retransmits,
        }

    @property
    def bytes_seen(self) -> int:
        """Bytes received, valid or not."""
        return self._decoder.bytes_seen

    # --- frames ---

    def send(self, frame: bytes) -> None:
        """Write a whole frame, or raise LinkFault."""
        write_port(self._port, self.name, frame)
        self._bytes_sent += len(frame)

    def receive(self, timeout_s: float) -> Message | None:
        """Return the next valid message, or None when none came in time."""
        deadline = time.monotonic() + timeout_s
        while not self._inbox:
            self._check_stop()
            left = deadline - time.monotonic()
            data = read_port(self._port, self.name, min(max(left, 0.0), STOP_EVERY_S))
            for frame in self._decoder.feed(data):
                self._deliver(frame)
            if left <= 0 and not self._inbox:
                return None
        return self._inbox.popleft()

    def _deliver(self, frame: Frame) -> None:
        payload = load(frame.payload)
        if payload is None:
            self._decoder.errors += 1
            return
        if frame.kind is Kind.EVT and payload.get(0) == Event.BOOT:
            self.check_boot(payload, 1)
        self._inbox.append(Message(frame.kind, frame.seq, payload))

    # --- requests ---

    @property
    def _wire_s(self) -> float:
        """How long the longest frame takes on a line so slow that timeouts have to allow for it."""
        rate = rate_of(self._port)
        return MAX_FRAME_BYTES * 10 / rate if rate and rate < SLOW_BELOW_BAUD else 0.0

    def request(
        self,
        op: Op,
        arguments: Mapping[int, object] | None = None,
        *,
        on_event: Callable[[Message], None] | None = None,
        timeout_s: float | None = None,
        tries: int | None = None,
    ) -> Payload:
        """Send one operation and return its reply; the same frame again while no reply comes.

        Raises LinkFault "silence" when the board does not answer, or the fault an ERR tells of.
        """
        self._seq = self._seq % 65535 + 1
        frame = encode(Kind.REQ, self._seq, dump({0: int(op), **(arguments or {})}))
        slow = op in _SLOW
        timeout_s = timeout_s or (SLOW_TIMEOUT_S if slow else FIRST_TIMEOUT_S)
        timeout_s += self._wire_s
        tries = tries or (SLOW_TRIES if slow else TRIES)
        waited_s = 0.0
        for attempt in range(tries):
            self.retransmits += attempt > 0
            self.send(frame)
            for message in self._messages(timeout_s):
                if message.seq == self._seq and message.kind in {Kind.RSP, Kind.ERR}:
                    return self._reply(op, message)
                if message.kind is Kind.EVT and on_event is not None:
                    on_event(message)
            waited_s += timeout_s
            timeout_s = min(2 * timeout_s, max(MAX_TIMEOUT_S, timeout_s))
        raise LinkFault(
            f"{self.name}: no answer to {op.name} in {waited_s:.1f} s and {tries} tries",
            code="silence",
            hint="is the board powered, and running this project's firmware?",
        )

    def _reply(self, op: Op, message: Message) -> Payload:
        if message.payload.get(0) != op:
            raise LinkFault(f"{self.name}: answer to another operation", code="bad_reply")
        if message.kind is Kind.ERR:
            raise fault_of(message.payload)
        return message.payload

    def _messages(self, timeout_s: float) -> Iterator[Message]:
        deadline = time.monotonic() + timeout_s
        while True:
            left = deadline - time.monotonic()
            if left < 0 and not self._inbox:
                return  # a board that never falls silent is no answer either
            message = self.receive(max(left, 0.0))
            if message is None:
                return
            yield message

    def check_boot(self, payload: Payload, key: int) -> None:
        """Notice a board that has rebooted since HELLO: what it was told is forgotten."""
        boot_id = get_uint(payload, key, "boot id", 2**32 - 1)
        if self.boot_id is not None and boot_id != self.boot_id:
            raise BoardFault(f"{self.name}: the board rebooted", code="rebooted")

    def hello(
        self, timeout_s: float, before_try: Callable[[int], None] = lambda _number: None
    ) -> Payload:
        """Ask who is there until somebody says; opening a port may have reset the board."""
        deadline = time.monotonic() + timeout_s
        arguments = {1: PROTOCOL[0], 2: PROTOCOL[1]}
        for number in itertools.count():
            before_try(number)
            try:
                reply = self.request(Op.HELLO, arguments, timeout_s=HELLO_EVERY_S, tries=1)
            except LinkFault as fault:
                # bad_reply: a board that remembers a reply under the number we happened to draw
                if fault.code not in {"silence", "bad_reply"}:
                    raise
            else:
                self.boot_id = get_uint(reply, 10, "boot id", 2**32 - 1)
                return reply
            if time.monotonic() > deadline:
                break
        heard = self.bytes_seen
        if heard == 0:
            detail = "not one byte came back"
            hint = "is it powered and flashed with this project's firmware? is it the right port?"
        else:
            detail = (
                f"{heard} bytes came, {self._decoder.errors} broken frames, none of them a HELLO"
            )
            hint = "another baud rate, or another firmware, speaks there"
        if others := others_on(self.name):
            hint += f"; {', '.join(others)} has the port open too, and takes bytes away"
        raise LinkFault(
            f"{self.name}: no HELLO in {timeout_s:.0f} s: {detail}", code="no_hello", hint=hint
        )
