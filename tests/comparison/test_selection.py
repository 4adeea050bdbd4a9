"""One word names jobs: by id, sweep, baseline, firmware, tag or time; a wrong word is told."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from edgeprof.client.query import Query
from edgeprof.client.selection import Kind, readings, select
from edgeprof.scheduler.archive import Archive
from edgeprof.scheduler.archive.baselines import SavedBaseline
from edgeprof.shared.errors import NotFound, UsageError
from edgeprof.shared.types.job import JobState
from tests.support.finished_job import INPUTS, finished_job

NOV_20 = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
DAY_S = 86400.0


def saved(name: str) -> SavedBaseline:
    return SavedBaseline(name=name, selection="x", user="ada", saved_s=1.0, n_jobs=0)


@pytest.fixture
def lab(archive: Archive) -> Archive:
    """Three days' jobs: two of a sweep, one with a tag, one that failed."""
    archive.save(
        [
            finished_job("mon", finished_s=NOV_20 + 60, sweep_id="nightly-1"),
            finished_job("tue", finished_s=NOV_20 + DAY_S, sweep_id="nightly-1", platform="native"),
            finished_job(
                "wed",
                finished_s=NOV_20 + 3 * DAY_S - 1,
                inputs=INPUTS.model_copy(update={"tags": {"kernel": "new"}}),
            ),
            finished_job("bad", finished_s=NOV_20, sweep_id="nightly-1", state=JobState.FAILED),
        ]
    )
    archive.save_baseline(saved("release"), ["mon", "wed"])
    return archive


@pytest.mark.parametrize(
    ("word", "kind", "jobs"),
    [
        ("mon", Kind.JOB, ["mon"]),
        ("nightly-1", Kind.SWEEP, ["tue", "mon"]),
        ("release", Kind.BASELINE, ["wed", "mon"]),
        ("baseline:release", Kind.BASELINE, ["wed", "mon"]),
        ("abc1", Kind.FIRMWARE, ["wed", "tue", "mon"]),
        ("kernel=new", Kind.TAG, ["wed"]),
        ("2026-11-20..2026-11-20", Kind.TIME, ["mon"]),
        ("2026-11-21..", Kind.TIME, ["wed", "tue"]),
        ("..2026-11-21T00:00", Kind.TIME, ["mon"]),
    ],
)
def test_every_kind_of_word(lab: Archive, word: str, kind: Kind, jobs: list[str]) -> None:
    """A range of dates has its last day in it; a range of times ends at its last moment."""
    found = select(word, lab)

    assert (found.kind, [view.id for view in found.views]) == (kind, jobs)


def test_what_has_no_result_is_counted_and_never_compared(lab: Archive) -> None:
    """A sweep tells how many of its jobs failed; a job that failed is an error by itself."""
    assert select("nightly-1", lab).without_result == 1
    with pytest.raises(UsageError, match="none of which succeeded"):
        select("bad", lab)


def test_a_filter_narrows(lab: Archive) -> None:
    """A model, a platform or a type holds beside the word."""
    found = select("nightly-1", lab, Query(platform="native"))

    assert [view.id for view in found.views] == ["tue"]


def test_a_word_with_two_meanings_is_asked_about(lab: Archive) -> None:
    """No meaning wins in silence."""
    lab.save_baseline(saved("nightly-1"), ["wed"])

    with pytest.raises(UsageError, match="a sweep and a baseline") as caught:
        select("nightly-1", lab)
    assert caught.value.hint == "say which: sweep:nightly-1 or baseline:nightly-1"


@pytest.mark.parametrize(
    ("word", "says", "hint"),
    [
        ("baseline:relaese", "no baseline 'relaese'", "did you mean baseline:release?"),
        ("relaese", "no job, sweep, baseline or firmware", "did you mean baseline:release?"),
        ("kernel=old", "no jobs match", "edgeprof scheduler"),
        ("tag:kernel", "'kernel' is no tag", "e.g. tag:kernel=new"),
        ("2026-11-25..2026-11-20", "ends before it begins", "times:"),
        ("yesterday..", "'yesterday' is neither an age nor a date", "2026-11-23"),
        ("sweep:", "sweep: names nothing", "e.g. sweep:"),
    ],
)
def test_a_wrong_word_is_told(lab: Archive, word: str, says: str, hint: str) -> None:
    """Each mistake has its own line, and a hint that helps."""
    with pytest.raises(UsageError, match=says) as caught:
        select(word, lab)
    assert hint in (caught.value.hint or "")


def test_only_hexadecimal_words_are_firmware() -> None:
    """Any other word is no hash, and the archive is not searched for one."""
    assert [r.kind for r in readings("abcd-dirty", time.time())][-1] is Kind.FIRMWARE
    assert Kind.FIRMWARE not in [r.kind for r in readings("release", time.time())]


def test_jobs_of_a_baseline_outlive_their_time(lab: Archive) -> None:
    """Retention deletes the others; the jobs go once the baseline is deleted."""
    assert lab.forget(NOV_20 + 30 * DAY_S, 100) == 2
    assert [view.id for view in select("release", lab).views] == ["wed", "mon"]

    assert lab.delete_baseline("release")
    assert not lab.delete_baseline("release")
    assert lab.forget(NOV_20 + 30 * DAY_S, 100) == 2
    with pytest.raises(NotFound):
        select("baseline:release", lab)


def test_saving_a_baseline_again_replaces_it(lab: Archive) -> None:
    """The list shows it once, with the new jobs."""
    lab.save_baseline(saved("release"), ["tue"])

    assert [(each.name, each.n_jobs) for each in lab.baselines()] == [("release", 1)]


def test_an_archived_job_may_be_written_again(lab: Archive) -> None:
    """The custodian writes jobs any number of times; a baseline keeps them."""
    lab.save(lab.find(Query()))

    assert [view.id for view in select("release", lab).views] == ["wed", "mon"]


def test_runs_of_a_schedule_are_counted_from_the_last(archive: Archive) -> None:
    """schedule:NAME is its last run, ~1 the one before, whichever job of them ended last; a run
    that is not there is told."""
    tagged = INPUTS.model_copy(update={"tags": {"schedule": "nightly"}})
    other = INPUTS.model_copy(update={"tags": {"schedule": "hourly"}})
    archive.save(
        [
            finished_job("a1", finished_s=NOV_20, sweep_id="z-1", inputs=tagged),
            finished_job("a2", finished_s=NOV_20 + 9, sweep_id="z-1", inputs=tagged),
            finished_job("b1", finished_s=NOV_20 + DAY_S, sweep_id="a-2", inputs=tagged),
            finished_job("c1", finished_s=NOV_20 + 2 * DAY_S, sweep_id="m-3", inputs=other),
        ]
    )

    last, before = select("schedule:nightly", archive), select("schedule:nightly~1", archive)

    assert [view.id for view in last.views] == ["b1"]
    assert [view.id for view in before.views] == ["a2", "a1"]
    assert (str(before), before.kind) == ("schedule nightly~1", Kind.SCHEDULE)
    for word, said in (
        ("schedule:nightly~2", "no run 2 before the last of schedule 'nightly' .*it has 2"),
        ("schedule:nigtly", "no run of a schedule 'nigtly'"),
        ("schedule:nightly~x", "is no run of a schedule"),
        ("schedule:", "names nothing"),
    ):
        with pytest.raises(UsageError, match=said):
            select(word, archive)
