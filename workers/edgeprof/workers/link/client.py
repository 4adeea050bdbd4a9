"""Requests over a serial port: one at a time, repeated until answered, carried out at most once.

docs/link-protocol.md, sections 3 and 9.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import serial

from edgeprof.shared.errors import BoardFault, LinkFault
from edgeprof.workers.link import foreign_text, framing
from edgeprof.workers.link.framing import MAX_FRAME_BYTES, MAX_PAYLOAD_BYTES, Decoder, Frame, Kind
from edgeprof.workers.link.hello import payload_limit, read_hello
from edgeprof.workers.link.messages.board import BootEvent, HelloReply, HelloRequest
from edgeprof.workers.link.messages.codec import (
    HEAD_KEY,
    Message,
    MessageT,
    ReplyT,
    Request,
    decode,
    encode,
    reply_of,
)
from edgeprof.workers.link.messages.errors import ErrorReply, fault_of
from edgeprof.workers.link.messages.operations import PROTOCOL, Op
from edgeprof.workers.link.messages.payload import Payload, dump, load
from edgeprof.workers.link.port import CheckStop, rate_of, read_port, write_port
from edgeprof.workers.link.port_faults import others_on
from edgeprof.workers.link.stray_text import StrayText

FIRST_TIMEOUT_S = 0.5
MAX_TIMEOUT_S = 4.0
TRIES = 5
#: UPLOAD, VERIFY and LOAD take the board's time: it clears, hashes and checks, and has a minute.
#: The host asks again every 4 s, so that a lost frame costs 4 s; the answer is the same.
SLOW_TIMEOUT_S = 4.0
SLOW_TRIES = 15
HELLO_EVERY_S = 0.25
POLL_S = 0.05
#: A wait asks this often whether anybody still wants it.
STOP_EVERY_S = 0.1
SLOW_BELOW_BAUD = 115200

_SLOW = {Op.VERIFY, Op.LOAD, Op.UPLOAD}


@dataclass(frozen=True, slots=True)
class Received:
    """A frame whose payload is a map of the protocol's subset of CBOR."""

    kind: Kind
    seq: int
    payload: Payload

    def event(self, message: type[MessageT]) -> MessageT | None:
        """Return the event if it is of this class, else None. Raises LinkFault if malformed."""
        if self.kind is Kind.EVT and self.payload.get(HEAD_KEY) == message.HEAD:
            return decode(message, self.payload)
        return None


class LinkClient:
    """One open serial port to one board. Not thread-safe.

    Every wait calls `check_stop` some times a second; it may raise.
    """

    def __init__(
        self, port: serial.SerialBase, name: str, check_stop: CheckStop = lambda: None
    ) -> None:
        self._port = port
        self._check_stop = check_stop
        self.name = name
        self._decoder = Decoder(StrayText(name).heard)
        self._inbox: deque[Received] = deque()
        self._seq = random.randint(1, 65535)  # noqa: S311 - only to differ from the client before
        self._data_seq = 0
        self.boot_id: int | None = None
        #: The first bytes that came before HELLO.
        self._heard = b""
        #: How much a frame to this board may carry; HELLO names it.
        self.max_payload_bytes = MAX_PAYLOAD_BYTES
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

    @property
    def data_seq(self) -> int:
        """The number of the last DATA frame."""
        return self._data_seq

    def data_frame(self, message: Message) -> bytes:
        """Return the wire bytes of the next DATA frame."""
        self._data_seq = (self._data_seq + 1) & 0xFFFF
        return framing.encode(Kind.DATA, self._data_seq, dump(encode(message)))

    def receive(self, timeout_s: float) -> Received | None:
        """Return the next valid message, or None when none came in time."""
        deadline = time.monotonic() + timeout_s
        while not self._inbox:
            self._check_stop()
            left = deadline - time.monotonic()
            data = read_port(self._port, self.name, min(max(left, 0.0), STOP_EVERY_S))
            if self.boot_id is None and len(self._heard) < foreign_text.KEPT_BYTES:
                self._heard += data
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
        received = Received(frame.kind, frame.seq, payload)
        if (boot := received.event(BootEvent)) is not None:
            self.check_boot(boot.boot_id)
        self._inbox.append(received)

    # --- requests ---

    @property
    def _wire_s(self) -> float:
        """How long the longest frame takes on a line so slow that timeouts have to allow for it."""
        rate = rate_of(self._port)
        return MAX_FRAME_BYTES * 10 / rate if rate and rate < SLOW_BELOW_BAUD else 0.0

    def request(
        self,
        request: Request[ReplyT],
        *,
        on_event: Callable[[Received], None] | None = None,
        timeout_s: float | None = None,
        tries: int | None = None,
    ) -> ReplyT:
        """Send a request and return its reply; the same frame again while no reply comes.

        Raises LinkFault "silence" when the board does not answer, "bad_reply" when its answer is
        malformed, or the fault that an ERR reports.
        """
        payload = self._exchange(request, on_event, timeout_s, tries)
        return decode(reply_of(type(request)), payload)

    def _exchange(
        self,
        request: Request[ReplyT],
        on_event: Callable[[Received], None] | None = None,
        timeout_s: float | None = None,
        tries: int | None = None,
    ) -> Payload:
        op = request.HEAD
        self._seq = self._seq % 65535 + 1
        frame = framing.encode(Kind.REQ, self._seq, dump(encode(request)))
        slow = op in _SLOW
        timeout_s = timeout_s or (SLOW_TIMEOUT_S if slow else FIRST_TIMEOUT_S)
        timeout_s += self._wire_s
        tries = tries or (SLOW_TRIES if slow else TRIES)
        waited_s = 0.0
        for attempt in range(tries):
            self.retransmits += attempt > 0
            self.send(frame)
            for received in self._all_within(timeout_s):
                if received.seq == self._seq and received.kind in {Kind.RSP, Kind.ERR}:
                    return self._answer_to(op, received)
                if received.kind is Kind.EVT and on_event is not None:
                    on_event(received)
            waited_s += timeout_s
            timeout_s = min(2 * timeout_s, max(MAX_TIMEOUT_S, timeout_s))
        raise LinkFault(
            f"{self.name}: no answer to {op.name} in {waited_s:.1f} s and {tries} tries",
            code="silence",
            hint="is the board powered, and running this project's firmware?",
        )

    def _answer_to(self, op: Op, received: Received) -> Payload:
        if received.payload.get(HEAD_KEY) != op:
            raise LinkFault(f"{self.name}: answer to another operation", code="bad_reply")
        if received.kind is Kind.ERR:
            raise fault_of(decode(ErrorReply, received.payload))
        return received.payload

    def _all_within(self, timeout_s: float) -> Iterator[Received]:
        deadline = time.monotonic() + timeout_s
        while True:
            left = deadline - time.monotonic()
            if left < 0 and not self._inbox:
                return  # a board that never falls silent is no answer either
            received = self.receive(max(left, 0.0))
            if received is None:
                return
            yield received

    def check_boot(self, boot_id: int) -> None:
        """Raise BoardFault if the board has rebooted since HELLO, and so forgotten everything."""
        if self.boot_id is not None and boot_id != self.boot_id:
            raise BoardFault(f"{self.name}: the board rebooted", code="rebooted")

    def hello(
        self, timeout_s: float, before_try: Callable[[int], None] = lambda _number: None
    ) -> HelloReply:
        """Ask for HELLO until a board answers; opening a port may have reset the board."""
        deadline = time.monotonic() + timeout_s
        payload = dump(encode(HelloRequest(*PROTOCOL)))
        asked: set[int] = set()
        for number in itertools.count():
            before_try(number)
            self._seq = self._seq % 65535 + 1
            asked.add(self._seq)
            self.send(framing.encode(Kind.REQ, self._seq, payload))
            # One sequence number a try, and a reply to any of them will do: a slow board answers
            # the first one late. One number for all would meet the reply that a board remembers
            # under the number we happened to draw, each time.
            for received in self._all_within(HELLO_EVERY_S + self._wire_s):
                answers = received.kind in {Kind.RSP, Kind.ERR} and received.seq in asked
                if answers and received.payload.get(HEAD_KEY) == Op.HELLO:
                    return self._met(received)
            if time.monotonic() > deadline:
                break
        raise self._no_hello(timeout_s)

    def _met(self, received: Received) -> HelloReply:
        reply = read_hello(self._answer_to(Op.HELLO, received))
        self.boot_id = reply.boot_id
        self.max_payload_bytes = payload_limit(reply)
        return reply

    def _no_hello(self, timeout_s: float) -> LinkFault:
        heard = self.bytes_seen
        if heard == 0:
            detail = "not one byte came back"
            hint = "is it powered and flashed with this project's firmware? is it the right port?"
        else:
            says, hint = foreign_text.what_speaks(self._heard, self.name)
            detail = f"{heard} bytes came, none of them a HELLO: {says}"
        if others := others_on(self.name):
            hint += f"; {', '.join(others)} has the port open too, and takes bytes away"
        return LinkFault(
            f"{self.name}: no HELLO in {timeout_s:.0f} s: {detail}", code="no_hello", hint=hint
        )
