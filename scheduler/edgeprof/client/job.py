"""The handle of a submitted job."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

from edgeprof.shared.errors import StoreUnavailable
from edgeprof.shared.identity import user_name
from edgeprof.shared.store.job_values import Event, Transition
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobResult, JobView

log = logging.getLogger(__name__)

#: How long one read of the event stream blocks; it must be well below the socket's timeout.
_LOOK_S = 5.0
_RETRY_S = 0.5

Progress = Callable[[Event], None]


class Job:
    """A job by its id. Every other property is read from the store when it is used."""

    def __init__(self, job_id: str, store: LabStore, patience_s: float) -> None:
        self.id = job_id
        self._store = store
        self._patience_s = patience_s

    def __repr__(self) -> str:
        return f"Job({self.id!r})"

    def view(self) -> JobView:
        """Return the whole record: state, reason, attempts, result."""
        return self._store.jobs.view(self.id)

    @property
    def status(self) -> JobState:
        """The state right now."""
        return self._store.jobs.state(self.id)

    @property
    def result(self) -> JobResult | None:
        """The result, once the job has succeeded."""
        return self.view().result

    @property
    def trace_id(self) -> str | None:
        """The id of the job's trace."""
        return self.view().trace_id

    def history(self) -> list[Transition]:
        """Return every transition so far: when, from, to, who, why."""
        return self._store.jobs.history(self.id)

    def cancel(self, reason: str = "cancelled by the user", *, actor: str = "client") -> JobState:
        """Cancel. A running job stops between two tokens, within about a second."""
        return self._store.jobs.cancel(self.id, actor, reason)

    def notify(self, *addresses: str) -> None:
        """Have the scheduler tell these when the job has ended: https://… or mailto:ADDRESS.

        Raises UsageError for an address that nothing can be sent to.
        """
        # Imported here: most jobs are waited for.
        from edgeprof.client.notify import Wish  # noqa: PLC0415
        from edgeprof.shared.types.notification import Subject, SubjectKind  # noqa: PLC0415

        subject = Subject(kind=SubjectKind.JOB, name=self.id)
        Wish.of(addresses).ask(self._store, subject, [self.id], user_name())

    def wait(self, timeout: float | None = None, progress: bool | Progress = False) -> JobView:
        """Wait for the end, whatever it is, and return the record.

        progress: True draws a bar on stderr; a callable gets every event. Raises TimeoutError, and
        StoreUnavailable when Redis stays away for longer than EDGEPROF_STORE_PATIENCE_S. Leaving
        early, also by Ctrl-C, changes nothing: the job goes on.
        """
        if progress is True:
            from edgeprof.client.progress import bar  # noqa: PLC0415 - rich only when asked for

            with bar(self.id) as draw:
                return self._wait(timeout, draw)
        return self._wait(timeout, progress or (lambda _event: None))

    def events(self, timeout: float | None = None) -> Iterator[Event]:
        """Yield what happens to the job, from its start to its end; then stop.

        Raises TimeoutError and StoreUnavailable as wait() does.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        lost_since: float | None = None
        cursor = "0"
        while True:
            left_s = _LOOK_S if deadline is None else deadline - time.monotonic()
            try:
                # Read the state first: the events before a final state are then in the stream.
                ended = self.status.terminal
                block_s = None if ended or left_s <= 0 else min(left_s, _LOOK_S)
                events = self._store.jobs.events(self.id, cursor, block_s=block_s)
            except StoreUnavailable as error:
                lost_since = self._endure(error, lost_since, deadline)
                continue
            if lost_since is not None:
                log.warning("Redis is back; waiting for job %s goes on", self.id)
                lost_since = None
            for event in events:
                cursor = event.cursor
                yield event
            if ended and not events:
                return
            if not ended and not events and left_s <= 0:
                raise TimeoutError(f"job {self.id} has not ended after {timeout:g} s; it goes on")

    def _wait(self, timeout: float | None, progress: Progress) -> JobView:
        for event in self.events(timeout):
            progress(event)
        return self.view()

    def _endure(
        self, error: StoreUnavailable, since: float | None, deadline: float | None
    ) -> float:
        """Pause before the next try; returns since when the store has been away.

        Raises StoreUnavailable when patience or time is over. The first call logs a warning.
        """
        now = time.monotonic()
        if since is None:
            log.warning("%s; trying for %.0f s (the job is safe)", error, self._patience_s)
            since = now
        if now - since > self._patience_s or (deadline is not None and now > deadline):
            raise StoreUnavailable(
                f"gave up waiting for job {self.id}: {error}",
                hint="the job goes on without you; ask for it again once Redis is back",
            ) from error
        time.sleep(_RETRY_S)
        return since
