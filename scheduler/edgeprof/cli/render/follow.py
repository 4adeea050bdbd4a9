"""Follows jobs to their end, a snapshot at a time. Nothing is drawn here (render/live.py does)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from edgeprof.client.lab import Lab
from edgeprof.shared.errors import (
    InfrastructureError,
    JobNotFound,
    StoreRefused,
    StoreUnavailable,
)
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobView

INTERVAL_S = 0.25


@dataclass(slots=True)
class Running:
    """A running job and its worker's latest progress."""

    view: JobView
    phase: str = ""
    percent: float | None = None
    tokens: str = ""

    @property
    def device_id(self) -> str:
        """The board that runs the job, or, before an attempt, the target it waits for."""
        return self.view.attempts[-1].device_id if self.view.attempts else self.view.target


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The followed jobs at one moment."""

    running: tuple[Running, ...]
    boards: tuple[BoardInfo, ...]
    queued: tuple[JobView, ...]
    #: Jobs that ended since the previous snapshot.
    ended: tuple[JobView, ...]
    #: Why this snapshot is empty (Redis is away, and the wait goes on), or None.
    trouble: str | None = None


@dataclass(slots=True)
class _Followed:
    running: Running
    cursor: str = "0"
    epochs: int = 0


@dataclass
class Follower:
    """Asks the store about jobs until all have ended, and waits for a Redis that is away."""

    lab: Lab
    pending: dict[str, _Followed | None]
    ended: list[JobView] = field(default_factory=list)
    #: Jobs that have left the store, or cannot be read any more.
    gone: list[str] = field(default_factory=list)
    _lost_since: float | None = None

    @classmethod
    def of(cls, lab: Lab, job_ids: Iterable[str]) -> Follower:
        """Follow these jobs from their start."""
        return cls(lab, dict.fromkeys(job_ids))

    def snapshots(self) -> Iterator[Snapshot]:
        """Yield a snapshot every INTERVAL_S until all jobs have ended.

        Raises StoreUnavailable when Redis stays away longer than EDGEPROF_STORE_PATIENCE_S.
        """
        while self.pending:
            yield self._snapshot_or_wait()
            if self.pending:
                time.sleep(INTERVAL_S)

    def _snapshot_or_wait(self) -> Snapshot:
        try:
            snapshot = self.snapshot()
        except StoreUnavailable as error:
            now = time.monotonic()
            self._lost_since = self._lost_since or now
            if now - self._lost_since > self.lab.settings.store_patience_s:
                raise StoreUnavailable(
                    f"gave up waiting for {len(self.pending)} job(s): {error}",
                    hint="they go on without you; ask `edgeprof jobs` once Redis is back",
                ) from error
            return Snapshot((), (), (), (), trouble=str(error))
        self._lost_since = None
        return snapshot

    def snapshot(self) -> Snapshot:
        """Ask the store once. Raises StoreUnavailable."""
        running, ended, queued = [], [], []
        views = self.lab.store.jobs.views(list(self.pending))
        for job_id in self.pending.keys() - {view.id for view in views}:
            if self._is_lost(job_id):
                del self.pending[job_id]
                self.gone.append(job_id)
        for view in views:
            if view.state.terminal:
                del self.pending[view.id]
                ended.append(view)
            elif view.state is JobState.RUNNING:
                running.append(self._progress(view))
            else:
                queued.append(view)
        self.ended += ended
        return Snapshot(tuple(running), tuple(self.lab.boards()), tuple(queued), tuple(ended))

    def raise_for_gone(self) -> None:
        """Raise InfrastructureError when jobs vanished from the store while they were followed."""
        if self.gone:
            raise InfrastructureError(
                f"{len(self.gone)} job(s) are not in the store any more: {' '.join(self.gone)}",
                hint="the store was emptied, or lost them: `edgeprof boards` tells."
                " Submit them again",
            )

    def _is_lost(self, job_id: str) -> bool:
        """Whether a job that the store does not show has ended or is gone."""
        try:
            return self.lab.store.jobs.state(job_id).terminal
        except (JobNotFound, StoreRefused):
            return True

    def _progress(self, view: JobView) -> Running:
        followed = self.pending.get(view.id)
        if followed is None or followed.epochs != len(view.attempts):  # a retry starts at zero
            cursor = followed.cursor if followed else "0"
            followed = _Followed(Running(view), cursor, len(view.attempts))
            self.pending[view.id] = followed
        for event in self.lab.store.jobs.events(view.id, followed.cursor):
            followed.cursor = event.cursor
            if event.kind == "progress":
                now = followed.running
                now.phase = event.fields.get("phase", now.phase)
                now.tokens = event.fields.get("tokens", now.tokens)
                with suppress(ValueError):  # another program may have written it
                    now.percent = float(event.fields.get("percent", ""))
        return followed.running
