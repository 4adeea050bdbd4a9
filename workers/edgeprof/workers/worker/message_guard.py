"""Every message that reaches a board's worker from outside is let in here, or dropped and counted.

There is one guard a process: kombu makes its transports itself, and nothing can be handed to them.
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

#: At most one log line about dropped messages, and one datagram to the agent, in so long.
_LOG_INTERVAL_S: Final = 60.0
_COUNT_INTERVAL_S: Final = 1.0

#: Remote commands that are obeyed a second, and in one burst: many pages of Flower, and no load.
_COMMANDS_PER_S: Final = 20
_COMMANDS_AT_ONCE: Final = 100


class MessageGuard:
    """Judges each message by its bytes, before kombu parses it."""

    def __init__(self, node: str, telemetry: Sender) -> None:
        self._node = node
        self._telemetry = telemetry
        self._commands = TokenBucket(_COMMANDS_PER_S, _COMMANDS_AT_ONCE)
        self._uncounted: Counter[Refusal] = Counter()
        self._unlogged: Counter[Refusal] = Counter()
        self._counted_s = self._logged_s = float("-inf")
        self._last_answer_s = time.monotonic()
        #: Why Redis refuses the wait for doorbells, and since when.
        self._refused_wait: tuple[str, float] | None = None

    def admit_doorbell(self, message: bytes, queue: str) -> bytes | None:
        """Return the doorbell that a message is; None: it is dropped, and never seen again."""
        if len(message) > doorbell.LARGEST_BYTES:
            self._drop("large", f"a message of over {doorbell.LARGEST_BYTES} bytes on {queue}")
            return None
        try:
            return doorbell.read(message, queue).encode()
        except doorbell.NotADoorbellError as error:
            self._drop("malformed", f"a message on {queue}: {error}")
            return None

    def admit_command(self, message: bytes) -> bytes | None:
        """Return the remote-control message if this worker obeys it, else None."""
        if len(message) > doorbell_parser.LARGEST_BYTES:
            self._drop("large", "a remote-control message")
            return None
        try:
            command = remote_control.read(message, self._node)
        except remote_control.NotACommandError as error:
            self._drop("command", f"a remote-control message: {error}")
            return None
        if command is None:
            return None
        if not self._commands.can_consume():
            self._drop("too many", "a remote-control message")
            return None
        return command.encode()

    def removed(self, key: str, kind: str) -> None:
        """Note that a queue's key was removed, because it was no list."""
        self._drop("key", f"the key {key!r}, a {kind} where doorbells stand in lists")

    def answered(self) -> None:
        """Note that Redis answered the wait for a doorbell: doorbells reach this worker."""
        self._last_answer_s = time.monotonic()
        self._refused_wait = None
        self._send_counts()

    def refused(self, why: str) -> None:
        """Note why Redis refuses to let this worker wait for doorbells."""
        if self._refused_wait is None:
            self._refused_wait = why, time.monotonic()

    def expect_silence(self) -> None:
        """Note that no doorbell can come now: the board is busy or cordoned, or Redis is away."""
        self._last_answer_s = time.monotonic()
        self._refused_wait = None

    def out_of_reach(self, refused_s: float, silent_s: float) -> str | None:
        """Return why doorbells do not reach this worker, or None.

        They do not when Redis has refused the wait for longer than refused_s, or has not answered
        it for longer than silent_s.
        """
        now_s = time.monotonic()
        refused = self._refused_wait  # Celery's thread may clear it meanwhile
        if refused is not None and now_s - refused[1] > refused_s:
            return refused[0]
        if now_s - self._last_answer_s > silent_s:
            return f"no answer to the wait for doorbells in {silent_s:g} s"
        return None

    def _drop(self, why: Refusal, example: str) -> None:
        self._uncounted[why] += 1
        self._unlogged[why] += 1
        now_s = time.monotonic()
        if now_s - self._logged_s >= _LOG_INTERVAL_S:
            self._logged_s = now_s
            counts = ", ".join(f"{reason} {count}" for reason, count in self._unlogged.items())
            self._unlogged.clear()
            log.warning(
                "dropped what no part of edgeprof writes, since the last such line: %s;"
                " the latest: %s",
                counts,
                example,
            )
        self._send_counts()

    def _send_counts(self) -> None:
        """Send the counts to the agent, at most once in _COUNT_INTERVAL_S."""
        now_s = time.monotonic()
        if self._uncounted and now_s - self._counted_s >= _COUNT_INTERVAL_S:
            self._counted_s = now_s
            if self._telemetry.send(Refused(counts=dict(self._uncounted))):
                self._uncounted.clear()
