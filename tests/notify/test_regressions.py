"""Notifications with conditions: what is told, and when."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edgeprof.client.selection import select
from edgeprof.scheduler.archive.baselines import SavedBaseline
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.notification import NoticeState, Subject, SubjectKind
from tests.notify.conftest import NotifyLab
from tests.support.finished_job import finished_job
from tests.support.measured import STEADY, measured, times
from tests.support.webhook_receiver import WebhookReceiver

CONDITIONS = ("decode<-3%", "missing")
ROOT = Path(__file__).parents[2]


def fill(lab: NotifyLab, factor: float, *, failed: bool = False) -> None:
    """Save a baseline, and a sweep whose decode is this much faster."""
    lab.archive.save([measured("before", STEADY)])
    found = select("before", lab.archive)
    saved = SavedBaseline(
        name="main", selection=str(found), user="ann", saved_s=1.0, n_jobs=len(found.views)
    )
    lab.archive.save_baseline(saved, ["before"])
    after = measured("after", times(factor))
    if failed:
        after = finished_job("after", state=JobState.FAILED, reason="does not fit", result=None)
    lab.archive.save([after.model_copy(update={"sweep_id": "night-1"})])


def told(
    lab: NotifyLab, receiver: WebhookReceiver, conditions: Sequence[str], against: str
) -> list[Any]:
    lab.ask(receiver.url, conditions=conditions, against=against)
    lab.tick_after(1)
    bodies = [json.loads(posted.body) for posted in receiver.posted]
    schema = json.loads((ROOT / "docs/reference/notification.schema.json").read_text())
    for body in bodies:
        jsonschema.validate(body, schema)
    return bodies


def test_a_regression_is_told_in_a_sentence(lab: NotifyLab, receiver: WebhookReceiver) -> None:
    """Its first line says what became slower, by how much, and than what."""
    fill(lab, 0.959)
    (body,) = told(lab, receiver, CONDITIONS, "baseline:main")

    sentence = "decode of tiny Q8_0 on esp32s3 is 4.1 % slower than baseline main"
    assert body["type"] == "regression.found"
    assert body["text"] == f"{sentence}\nsweep night-1: all 1 job(s) succeeded"
    (broken,) = body["data"]["comparison"]["broken"]
    assert (broken["condition"], broken["measure"], broken["unit"]) == (
        "decode<-3%",
        "decode",
        "t/s",
    )
    assert broken["change"] == pytest.approx(-0.041)
    assert body["data"]["comparison"]["worse"] == 2


def test_nobody_is_bothered_when_no_condition_is_broken(
    lab: NotifyLab, receiver: WebhookReceiver
) -> None:
    """That nothing was to be told can be seen all the same."""
    fill(lab, 0.99)

    assert told(lab, receiver, CONDITIONS, "baseline:main") == []
    assert lab.notice().state is NoticeState.NOT_NEEDED


def test_without_conditions_the_comparison_is_told_too(
    lab: NotifyLab, receiver: WebhookReceiver
) -> None:
    """Whoever names a baseline alone wants to know in any case."""
    fill(lab, 1.1)
    (body,) = told(lab, receiver, (), "baseline:main")

    assert body["type"] == "sweep.ended"
    assert "against baseline main: 2 better, 0 worse" in body["text"]


def test_a_job_that_fails_breaks_missing(lab: NotifyLab, receiver: WebhookReceiver) -> None:
    """A model that no longer runs is no silence."""
    fill(lab, 1.0, failed=True)
    (body,) = told(lab, receiver, ["missing"], "baseline:main")

    first, second, third = body["text"].splitlines()
    assert first == "tiny Q8_0 on esp32s3, which baseline main has, was not measured"
    assert second == "sweep night-1: 0 of 1 job(s) succeeded, 1 failed"
    assert third.endswith("(job after): does not fit")


@pytest.mark.parametrize(
    ("conditions", "against", "trouble"),
    [
        (["decode<-3%"], "baseline:gone", "no baseline 'gone'"),
        (["energy>3%"], "baseline:main", "no row has both an old and a new energy"),
    ],
)
def test_a_condition_that_cannot_be_checked_is_told(
    lab: NotifyLab, receiver: WebhookReceiver, conditions: list[str], against: str, trouble: str
) -> None:
    """A watch that sees nothing must not look like a night in which all went well."""
    fill(lab, 1.0)
    (body,) = told(lab, receiver, conditions, against)

    assert trouble in body["data"]["comparison"]["trouble"]
    assert trouble in body["text"]


def test_a_schedule_tells_of_its_sweep_or_why_there_was_none(
    lab: NotifyLab, receiver: WebhookReceiver
) -> None:
    """A run that was missed is told, too."""
    fill(lab, 1.0)
    nightly = Subject(kind=SubjectKind.SCHEDULE, name="nightly", sweep_id="night-1")
    lab.ask(receiver.url, subject=nightly)
    missed = Subject(kind=SubjectKind.SCHEDULE, name="nightly", note="missed its run of 02:00")
    lab.ask(receiver.url, subject=missed, conditions=CONDITIONS, against="baseline:main")
    lab.tick_after(1)

    bodies = [json.loads(posted.body) for posted in receiver.posted]
    assert sorted(body["text"] for body in bodies) == [
        "schedule nightly: all 1 job(s) succeeded",
        "schedule nightly: missed its run of 02:00",
    ]
    assert {body["type"] for body in bodies} == {"schedule.ended"}
