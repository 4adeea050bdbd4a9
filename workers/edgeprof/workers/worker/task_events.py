"""Celery's task events, told of attempts: what Flower and celery-exporter show is what became of jobs.

Celery would tell of doorbells: each one a success (the task that hears it never raises, or it might take
the worker along), also when its attempt failed, when another job of its queue was carried out, and
when there was nothing to do. So it is told to be silent (`send_events=False`, DoorbellRequest), and the same
events are sent here, of the job that was claimed, through the worker's own dispatcher.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from celery.worker.request import Request

from edgeprof.shared.errors import Fault
from edgeprof.shared.queue.celery_app import TASK_NAME
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.store.jobs import Claim
from edgeprof.shared.types.job import JobState

#: Kept while Redis is away; three an attempt.
_MOST_PENDING: Final = 300

#: What is shown of a fault: it is a column in Flower.
_LONGEST_FAULT: Final = 300


class DoorbellRequest(Request):
    """What Celery makes of a doorbell. Nobody is told of it; Celery's loop is woken as if somebody were.

    That loop waits for I/O, up to a second, and looks for the next doorbell only when it turns: the event
    at the end of a task is what has it turn at once.
    """

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002, ARG002 - Celery's names
        dispatcher: Any = getattr(self, "_eventer", None)
        if dispatcher is not None and dispatcher.on_send_buffered is not None:
            dispatcher.on_send_buffered()


class TaskEvents:
    """Of one worker. What cannot be sent now is kept for the next flush; nothing here raises for that."""

    def __init__(self, dispatcher: Callable[[], Any]) -> None:
        """dispatcher: returns Celery's EventDispatcher, or None while there is no connection."""
        self._dispatcher = dispatcher
        self._pending: deque[tuple[str, dict[str, Any]]] = deque(maxlen=_MOST_PENDING)
        self._lock = threading.Lock()

    @property
    def pending(self) -> bool:
        """Whether something is still to be told."""
        return bool(self._pending)

    def started(self, claim: Claim) -> None:
        """Tell that an attempt begins."""
        self._send(
            "task-received",
            claim,
            name=TASK_NAME,
            args=claim.spec.label,
            kwargs="{}",
            root_id=claim.job_id,
            parent_id=None,
            retries=claim.attempt - 1,
            eta=None,
            expires=None,
            # Of Celery's own events only task-sent has it; celery-exporter takes it from any.
            queue=claim.spec.target.queue,
        )
        self._send("task-started", claim)

    def ended(
        self, claim: Claim, state: JobState | None, fault: Fault | None, runtime_s: float
    ) -> None:
        """Tell how it ended. state: the job's afterwards; None when the end was not this attempt's to write."""
        if state is JobState.SUCCEEDED:
            self._send("task-succeeded", claim, result=None, runtime=runtime_s)
        elif state is JobState.CANCELLED:
            self._send("task-revoked", claim, terminated=True, signum=None, expired=False)
        elif state is not None and fault is not None:
            kind = "task-retried" if state is JobState.QUEUED else "task-failed"
            said = f"{type(fault).__name__}({one_line(str(fault), _LONGEST_FAULT)!r})"
            self._send(kind, claim, exception=said, traceback=None)

    def flush(self, last: Any = None) -> None:
        """Send what is pending; `last` is a dispatcher to use when Celery has closed its own for good."""
        with self._lock:
            dispatcher = self._dispatcher() or last
            if dispatcher is None or not dispatcher.enabled:
                return
            while self._pending:
                kind, fields = self._pending.popleft()
                dispatcher.send(kind, **fields)

    def _send(self, kind: str, claim: Claim, **fields: Any) -> None:
        # Its own time: it may be sent later.
        self._pending.append((kind, {"uuid": claim.job_id, "timestamp": time.time(), **fields}))
        self.flush()
