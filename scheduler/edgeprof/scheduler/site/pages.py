"""The pages for people: the lab, a job, a sweep, a board, a comparison. They only read."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Final

from werkzeug.datastructures import MultiDict

from edgeprof.client import compared
from edgeprof.client.compared import Compared, named_of, nothing_in_common
from edgeprof.client.comparison import compare
from edgeprof.client.gate import Gates
from edgeprof.client.measures import MEASURES
from edgeprof.client.model_names import ModelNames
from edgeprof.client.query import Query
from edgeprof.client.selection import select
from edgeprof.client.waits import what_it_waits_for
from edgeprof.scheduler.report import page
from edgeprof.scheduler.report.measured import measured_of
from edgeprof.scheduler.report.table import table_of
from edgeprof.scheduler.site.records import MOST, Records
from edgeprof.shared.errors import BoardNotFound
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.search import JobFilter
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobView

#: Jobs of each kind on the start page.
_LATEST: Final = 25
#: A page about what still happens is read again by the browser after so long.
_AGAIN_S: Final = 15

Args = MultiDict[str, str]


class Pages:
    """Answers with HTML."""

    def __init__(self, records: Records, settings: Settings) -> None:
        self._records = records
        self._settings = settings

    def home(self, _query: Args) -> str:
        """The boards, what runs and waits, and the latest results."""
        anyone = JobFilter()
        latest = self._records.results(Query(state=JobState.SUCCEEDED, limit=_LATEST))
        rows = sorted(measured_of(latest), key=lambda row: -(row.view.finished_s or 0))
        return self._page(
            "home.html",
            title=f"The lab of {self._settings.host}",
            again_s=_AGAIN_S,
            boards=self._records.boards(),
            running=self._records.jobs(JobState.RUNNING, anyone, _LATEST),
            queued=self._records.jobs(JobState.QUEUED, anyone, _LATEST),
            count={state: self._records.count(state) for state in JobState},
            table=table_of(rows),
        )

    def job(self, _query: Args, name: str) -> str:
        """One job: its state, what it was asked to do, its attempts and what was measured."""
        view = self._records.job(name)
        return self._page(
            "job.html",
            title=f"Job {view.id}",
            again_s=None if view.state.terminal else _AGAIN_S,
            view=view,
            trace_ui=(self._settings.trace_ui or "").rstrip("/"),
            **page.measurements([view]),
        )

    def sweep(self, _query: Args, name: str) -> str:
        """All jobs of one sweep."""
        views = self._records.sweep(name)
        waiting = [view for view in views if not view.state.terminal]
        return self._page(
            "sweep.html",
            title=f"Sweep {name}",
            again_s=_AGAIN_S if waiting else None,
            views=views,
            waiting=waiting,
            failed=[view for view in views if view.state.terminal and view.result is None],
            **page.measurements(views),
        )

    def board(self, _query: Args, name: str) -> str:
        """One board: what it is and does, and what was measured on it lately."""
        latest = Query(device_id=name, state=JobState.SUCCEEDED, limit=4 * _LATEST)
        results = self._records.results(latest)
        try:
            board = self._records.board(name)
        except BoardNotFound:
            if not results:
                raise
            board = None  # it was forgotten, and its results stay
        return self._page(
            "board.html",
            title=f"Board {name}",
            again_s=_AGAIN_S,
            name=name,
            board=board,
            limit=latest.limit,
            **page.measurements(results),
        )

    def compare(self, query: Args) -> str:
        """Two selections of jobs, row by row; without them, a form that asks for them."""
        sides = [query.get(name, "").strip() for name in ("a", "b")]
        values: dict[str, Any] = {"sides": sides, "title": "Compare", "again_s": None}
        if not all(sides):
            return self._page("compare.html", compared=None, **values)
        archive = self._records.archive
        old, new = (select(word, archive) for word in sides)
        found = compare(old.views, new.views, measures=[m for m in MEASURES if m != "ttft"])
        if not found.rows:
            raise nothing_in_common(old, new)
        shown = Compared(old, new, found, Gates.parse([]))
        return self._page(
            "compare.html",
            compared=shown,
            rows=shown.shown(),
            verdicts=Counter(row.verdict for row in found.rows),
            names=ModelNames.of(named_of(row.key) for row in shown.shown()),
            words=compared,
            **values,
        )

    def error(self, text: str, hint: str | None, status: int) -> str:
        """Say what is wrong, and what to do about it."""
        return page.render(
            "error.html", title=f"{status}: {text}", text=text, hint=hint, again_s=None
        )

    def _page(self, template: str, **values: Any) -> str:
        now_s = time.time()
        return page.render(
            template,
            now_s=now_s,
            host=self._settings.host,
            waits_for=self._waits_for(),
            most=MOST,
            **values,
        )

    def _waits_for(self) -> Any:
        boards = self._records.boards()

        def says(view: JobView) -> str:
            return what_it_waits_for(view, boards) or view.reason

        return says
