"""Celery's task events, sent for attempts, so that Flower and celery-exporter show jobs.

Celery's own events would be about doorbells, and each doorbell is a success: the task never raises.
It is a success too when the attempt failed, when another job of the queue was carried out, and when
there was nothing to do. So Celery is told to be silent (`send_events=False`, DoorbellRequest), and
the same events are sent here about the claimed job, through the worker's own dispatcher.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from edgeprof.shared.errors import Fault
from edgeprof.shared.queue.celery_app import TASK_NAME
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.store.job_values import Claim
from edgeprof.shared.types.job import JobState

#: How many events are kept while Redis is away; an attempt makes three.
_MOST_PENDING: Final = 300

#: How much of a fault is shown: it is a column in Flower.
_LONGEST_FAULT: Final = 300


class TaskEvents:
    """The events of one worker. What cannot be sent now is kept for the next flush."""

    def __init__(self, dispatcher: Callable[[], Any]) -> None:
        """`dispatcher` returns Celery's EventDispatcher, or None while there is no connection."""
        self._dispatcher = dispatcher
        self._pending: deque[tuple[str, dict[str, Any]]] = deque(maxlen=_MOST_PENDING)
        self._lock = threading.Lock()

    @property
    def pending(self) -> bool:
        """Whether an event is still to be sent."""
        return bool(self._pending)

    def started(self, claim: Claim) -> None:
        """Send that an attempt begins."""
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
            # Celery's own events have it only in task-sent; celery-exporter reads it from any.
            queue=claim.spec.target.queue,
        )
        self._send("task-started", claim)

    def ended(
        self, claim: Claim, state: JobState | None, fault: Fault | None, runtime_s: float
    ) -> None:
        """Send how an attempt ended. `state` is the job's afterwards.

        None: the store refused the end, because the job went on without this attempt.
        """
        if state is JobState.SUCCEEDED:
            self._send("task-succeeded", claim, result=None, runtime=runtime_s)
        elif state is JobState.CANCELLED:
            self._send("task-revoked", claim, terminated=True, signum=None, expired=False)
        elif state is not None and fault is not None:
            kind = "task-retried" if state is JobState.QUEUED else "task-failed"
            said = f"{type(fault).__name__}({one_line(str(fault), _LONGEST_FAULT)!r})"
            self._send(kind, claim, exception=said, traceback=None)

    def flush(self, last: Any = None) -> None:
        """Send what is pending. `last` is the dispatcher to use once Celery has closed its own."""
        with self._lock:
            dispatcher = self._dispatcher() or last
            if dispatcher is None or not dispatcher.enabled:
                return
            while self._pending:
                kind, fields = self._pending.popleft()
                dispatcher.send(kind, **fields)

    def _send(self, kind: str, claim: Claim, **fields: Any) -> None:
        # The event carries its own time, because it may be sent later.
        self._pending.append((kind, {"uuid": claim.job_id, "timestamp": time.time(), **fields}))
        self.flush()
