"""A timeout holds the upload that can be foreseen, or the job says at once what time it needs."""

from __future__ import annotations

from typing import Any

import pytest

from edgeprof.client import Lab
from edgeprof.client.timeouts import USUAL_S, foreseen_s
from edgeprof.shared.errors import JobError
from edgeprof.shared.models import catalogue
from edgeprof.shared.settings import Settings
from edgeprof.shared.types.board import BoardInfo
from edgeprof.workers.profiling.upload_deadline import UploadDeadline
from tests.support.board_infos import board_with_ram

MB = 1_000_000
MODEL = catalogue.resolve("shakespeare-240k")


class Clock:
    """Seconds that a test counts."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def board(speed: float | None, **changes: object) -> BoardInfo:
    return board_with_ram("b", "01", "p", 1 << 24).model_copy(
        update={"upload_bytes_per_s": speed, **changes}
    )


def send(
    upload: UploadDeadline, clock: Clock, total: int, bytes_per_s: float, start: int = 0
) -> None:
    for second in range(int((total - start) / bytes_per_s) + 2):
        clock.now = second
        upload.moved(min(total, start + int(second * bytes_per_s)), total)


def test_an_upload_that_cannot_end_in_time_ends_soon() -> None:
    """61 MB at 74 kB/s would die after 600 s: it fails after seconds, with the time that it
    takes."""
    clock = Clock()
    upload = UploadDeadline(600, clock)

    with pytest.raises(
        JobError, match=r"cannot be sent in time: 61000000 bytes at 74\.0 kB/s"
    ) as caught:
        send(upload, clock, 61 * MB, 74_000)

    assert clock.now < 10
    assert caught.value.code == "timeout"
    assert not caught.value.fault_class.retryable
    assert "--timeout 16" in str(caught.value.hint)


@pytest.mark.parametrize(("timeout_s", "start"), [(900, 0), (700, 0), (600, 50 * MB)])
def test_an_upload_that_may_end_in_time_goes_on(timeout_s: float, start: int) -> None:
    """An upload that is only just too slow so far goes on, and so does one that was begun
    before."""
    clock = Clock()

    send(UploadDeadline(timeout_s, clock), clock, 61 * MB, 74_000, start)


@pytest.mark.parametrize(
    ("speeds", "longest_s"), [([1_000_000.0], 602), ([1_000_000.0, 1_000.0], 2100), ([None], 800)]
)
def test_the_default_holds_the_upload(speeds: list[float | None], longest_s: float) -> None:
    """The default timeout holds the upload to the slowest board that may take it; an unmeasured one
    counts as slow."""
    timeout_s = foreseen_s(MODEL, [board(speed) for speed in speeds])

    slowest = min(speed or 10_000 for speed in speeds)
    assert USUAL_S + MODEL.size_bytes / slowest <= timeout_s <= longest_s


def test_a_board_that_is_flashed_needs_no_more_than_usual() -> None:
    """A flashed board needs no longer timeout, since its model does not go over the link."""
    assert foreseen_s(MODEL, [board(None, can_flash=True, can_upload=False)]) == USUAL_S


def test_a_timeout_that_is_given_is_taken(settings: Settings) -> None:
    """A given timeout is taken as it is; without one the record holds the foreseen one."""
    with Lab(settings=settings) as lab:
        wishes: dict[str, Any] = {"platform": "someday", "wait_for_board": True}
        given = lab.submit("shakespeare-240k", timeout_s=5.0, **wishes).view().inputs
        foreseen = lab.submit("shakespeare-240k", **wishes).view().inputs

    assert given is not None
    assert foreseen is not None
    assert given.timeout_s == 5.0
    assert foreseen.timeout_s == foreseen_s(MODEL, [])
