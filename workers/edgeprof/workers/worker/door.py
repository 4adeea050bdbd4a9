"""What comes to a board's worker from outside, and what became of it: let in, or turned away and
counted.

One a process, because kombu makes its transports itself: nothing can be handed to them.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import Final

from kombu.utils.limits import TokenBucket

from edgeprof.shared.queue import doorbell
from edgeprof.workers.metrics.sessions import Refusal
from edgeprof.workers.metrics.telemetry import Refused, Sender
from edgeprof.workers.worker import doorbell_parser, remote_control

log = logging.getLogger(__name__)

#: At most one line about what was turned away in so long, and one datagram to the agent.
_SAY_EACH_S: Final = 60.0
_COUNT_EACH_S: Final = 1.0

#: Commands that are obeyed a second, and at once: many pages of Flower, and no load worth the name.
_COMMANDS_PER_S: Final = 20
_COMMANDS_AT_ONCE: Final = 100


class Door:
    """Judges each message by its bytes, before kombu parses it."""

    def __init__(self, node: str, telemetry: Sender) -> None:
        self._node = node
        self._telemetry = telemetry
        self._commands = TokenBucket(_COMMANDS_PER_S, _COMMANDS_AT_ONCE)
        self._counted: Counter[Refusal] = Counter()
        self._unsaid: Counter[Refusal] = Counter()
        self._told_s = self._said_s = float("-inf")
        self._heard_s = time.monotonic()
        self._trouble: tuple[str, float] | None = None

    def doorbell(self, message: bytes, queue: str) -> bytes | None:
        """Return the doorbell that a message is, or None: it is dropped, and never seen again."""
        if len(message) > doorbell.LARGEST_BYTES:
            self._refuse("large", f"a message of over {doorbell.LARGEST_BYTES} bytes on {queue}")
            return None
        try:
            return doorbell.read(message, queue).encode()
        except doorbell.NotADoorbellError as error:
            self._refuse("malformed", f"a message on {queue}: {error}")
            return None

    def command(self, message: bytes) -> bytes | None:
        """Return the remote-control message that this worker obeys, or None."""
        if len(message) > doorbell_parser.LARGEST_BYTES:
            self._refuse("large", "a remote-control message")
            return None
        try:
            command = remote_control.read(message, self._node)
        except remote_control.NotACommandError as error:
            self._refuse("command", f"a remote-control message: {error}")
            return None
        if command is None:
            return None
        if not self._commands.can_consume():
            self._refuse("too many", "a remote-control message")
            return None
        return command.encode()

    def removed(self, key: str, kind: str) -> None:
        """Note that a key of a queue was removed, because it was no list."""
        self._refuse("key", f"the key {key!r}, a {kind} where doorbells stand in lists")

    def answered(self) -> None:
        """Note that Redis answered the wait for a doorbell: this worker hears."""
        self._heard_s = time.monotonic()
        self._trouble = None
        self._tell()

    def troubled(self, why: str) -> None:
        """Note why Redis refuses to let this worker wait for doorbells."""
        if self._trouble is None:
            self._trouble = why, time.monotonic()

    def excused(self) -> None:
        """Note that nothing is to be heard now: the board is busy or held, or Redis is away."""
        self._heard_s = time.monotonic()
        self._trouble = None

    def deaf(self, patience_s: float, longest_s: float) -> str | None:
        """Return why no doorbell is received: refused for patience_s, or without any answer for
        longest_s."""
        now_s = time.monotonic()
        trouble = self._trouble  # the thread that hears may end it meanwhile
        if trouble is not None and now_s - trouble[1] > patience_s:
            return trouble[0]
        if now_s - self._heard_s > longest_s:
            return f"no answer to the wait for doorbells in {longest_s:g} s"
        return None

    def _refuse(self, why: Refusal, example: str) -> None:
        self._counted[why] += 1
        self._unsaid[why] += 1
        now_s = time.monotonic()
        if now_s - self._said_s >= _SAY_EACH_S:
            self._said_s = now_s
            counts = ", ".join(f"{reason} {count}" for reason, count in self._unsaid.items())
            self._unsaid.clear()
            log.warning(
                "dropped what no part of edgeprof writes, since the last such line: %s;"
                " the latest: %s",
                counts,
                example,
            )
        self._tell()

    def _tell(self) -> None:
        """Send the counts to the agent, now and then."""
        now_s = time.monotonic()
        if self._counted and now_s - self._told_s >= _COUNT_EACH_S:
            self._told_s = now_s
            if self._telemetry.send(Refused(counts=dict(self._counted))):
                self._counted.clear()
