"""The notifier of a lab: it sees that wishes are fulfilled, and sends messages until they arrive.

Wishes and messages are in Redis, so a scheduler that is started again goes on. A message may arrive
twice, with the same id: when a scheduler dies between sending and noting it.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from edgeprof.scheduler.notify.failure import NotSent
from edgeprof.scheduler.notify.metrics import NotifyMetrics, Outcome
from edgeprof.shared.errors import InfrastructureError, UsageError
from edgeprof.shared.store.notifications import PAGE, Ended, Message, NotificationStore
from edgeprof.shared.types.notification import Asked, Notice, NoticeState
from edgeprof.shared.types.notify_address import NotifyAddress, Way

#: Logs what became of each notification, among the lab's other events.
log = logging.getLogger("profiler.notifications")

#: Pauses after the first, second… failed attempt; after the last one it is given up.
RETRY_AFTER_S: Final = (5.0, 30.0, 120.0, 600.0)
#: Receivers that are spoken to at once.
_AT_ONCE: Final = 8


class Compose(Protocol):
    """Returns the body of a wish whose jobs have ended; None when there is nothing to tell."""

    def __call__(self, asked: Asked, at_s: float, /) -> str | None:
        """Raises InfrastructureError when Redis or the archive does not answer."""
        ...


class Send(Protocol):
    """Sends a body to an address."""

    def __call__(self, to: NotifyAddress, body: str, message_id: str, at_s: float, /) -> None:
        """Raises NotSent."""
        ...


class Notifier:
    """One scheduler's notifier; tick() is called about once a second while it leads."""

    def __init__(
        self,
        store: NotificationStore,
        compose: Compose,
        send: Send,
        metrics: NotifyMetrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._compose = compose
        self._send = send
        self._metrics = metrics
        self._clock = clock
        self._offset = 0

    def tick(self) -> None:
        """Do what is due. Raises InfrastructureError, after all that could be done."""
        looked, ended = self._store.ended(self._offset)
        self._offset = self._offset + looked - len(ended) if looked == PAGE else 0
        trouble: InfrastructureError | None = None
        for each in ended:
            try:
                self._settle(each)
            except InfrastructureError as error:
                trouble = error
        self._deliver()
        if trouble is not None:
            raise trouble

    def _settle(self, ended: Ended) -> None:
        """Make the message of a wish whose jobs have ended."""
        at_s = self._clock()
        read = _read(ended.asked)
        if read is None:
            log.warning("a wish for a notification cannot be read, and is dropped")
            self._store.settle(ended, None, "", at_s, None)
            return
        asked, to = read
        state, reason = NoticeState.TRYING, ""
        body: str | None = None
        try:
            body = self._compose(asked, at_s)
        except InfrastructureError:
            raise
        except Exception as error:
            # A record that nobody foresaw must not stop the notifications of all others.
            log.exception("notification %s to %s cannot be made", asked.id, to.shown)
            state, reason = NoticeState.GIVEN_UP, f"it cannot be made: {type(error).__name__}"
        else:
            if body is None:
                state, reason = NoticeState.NOT_NEEDED, "no condition is broken"
        notice = _notice(to, state, 0, reason, at_s)
        self._store.settle(ended, asked, body or "", at_s, notice)

    def _deliver(self) -> None:
        """Send the messages whose time has come, to several hosts at once."""
        by_host: defaultdict[str, list[Message]] = defaultdict(list)
        for message in self._store.due(self._clock()):
            by_host[self._host_of(message)].append(message)
        if by_host:
            with ThreadPoolExecutor(min(_AT_ONCE, len(by_host)), "notify") as pool:
                list(pool.map(self._send_each, by_host.values()))

    @staticmethod
    def _host_of(message: Message) -> str:
        read = _read(message.asked)
        if read is None:
            return ""
        return read[1].shown if read[1].way is Way.WEBHOOK else str(Way.MAIL)

    def _send_each(self, messages: Sequence[Message]) -> None:
        """Send messages to one host. One that cannot be reached is not waited for twice."""
        down: NotSent | None = None
        for message in messages:
            down = self._try(message, down)

    def _try(self, message: Message, down: NotSent | None) -> NotSent | None:
        """Send a message once, and note how that went; returns why its host cannot be reached.

        down: why the attempt is known to fail.
        """
        read = _read(message.asked)
        if read is None or not message.attempts.isdecimal():
            log.warning("a notification cannot be read, and is dropped")
            self._store.tried(message, None, None, None)
            return down
        asked, to = read
        attempts = int(message.attempts) + 1
        at_s = self._clock()
        next_s: float | None = None
        failure = down or self._failure(to, message, at_s)
        if failure is None:
            outcome, state = Outcome.SENT, NoticeState.SENT
        elif failure.final or attempts > len(RETRY_AFTER_S):
            outcome, state = Outcome.GIVEN_UP, NoticeState.GIVEN_UP
        else:
            outcome, state = Outcome.FAILED, NoticeState.TRYING
            next_s = at_s + RETRY_AFTER_S[attempts - 1]
        self._metrics.counted(outcome, to.way)
        notice = _notice(to, state, attempts, str(failure or ""), at_s)
        log.log(
            logging.WARNING if state is NoticeState.GIVEN_UP else logging.INFO,
            "%s %s: %s",
            asked.subject.kind,
            asked.subject.name,
            notice.text,
        )
        self._store.tried(message, next_s, asked.subject, notice)
        return failure if failure is not None and failure.unreachable else None

    def _failure(self, to: NotifyAddress, message: Message, at_s: float) -> NotSent | None:
        """Send a message; returns why it did not arrive."""
        try:
            self._send(to, message.body, message.id, at_s)
        except NotSent as error:
            return error
        except Exception as error:  # noqa: BLE001 - messages after this one must be sent
            kind = type(error).__name__  # its text may have a part of the address
            log.error("notification %s to %s cannot be sent: %s", message.id, to.shown, kind)  # noqa: TRY400
            return NotSent(f"it cannot be sent: {kind}", final=True)
        return None


def _read(text: str) -> tuple[Asked, NotifyAddress] | None:
    """Return a wish and where it goes; None when somebody else wrote it."""
    try:
        asked = Asked.read(text)
        return asked, NotifyAddress.parse(asked.address)
    except (ValueError, UsageError):
        return None


def _notice(
    to: NotifyAddress, state: NoticeState, attempts: int, reason: str, at_s: float
) -> Notice:
    return Notice(
        way=to.way, to=to.shown[:300], state=state, attempts=attempts, reason=reason, at_s=at_s
    )
