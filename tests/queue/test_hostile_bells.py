"""Whatever stands on a queue, the next job is done: a bell is read by Celery, of which we want JSON only."""

from __future__ import annotations

import base64
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeprof.shared import queues
from edgeprof.shared.jobs import JobState
from edgeprof.shared.store.jobs import Bell

pytestmark = pytest.mark.e2e

DEEP = "[" * 100_000 + "]" * 100_000


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def bell(body: bytes, **changes: Any) -> str:
    message = json.loads(queues.write(Bell("j", "platform.null", "", ""), 5))
    return json.dumps(message | {"body": base64.b64encode(body).decode()} | changes)


def arguments(*values: Any) -> bytes:
    return json.dumps([values, {}, {}]).encode()


HOSTILE: dict[str, Callable[[Path], str]] = {
    "no JSON": lambda _: "\x00",
    "deep": lambda _: DEEP,
    "deep body": lambda _: bell(DEEP.encode()),
    "pickle": lambda path: bell(
        pickle.dumps(((Touch(path),), {}, {})), **{"content-type": "application/x-python-serialize"}
    ),
    "no such job": lambda _: bell(arguments("../../x\n\x1b[2J" + "x" * 10**6)),
    "no arguments": lambda _: bell(arguments()),
    "an object": lambda _: bell(arguments({"a": 1})),
    "another task": lambda _: queues.write(Bell("j", "platform.null", "", ""), 5).replace(
        "edgeprof.profile", "os.system"
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_the_next_job_is_done(rig: Any, make_spec: Any, tmp_path: Path, what: str) -> None:
    """By this worker or, where Celery gave up over it, by the one that is started in its place."""
    owned = tmp_path / "owned"
    rig.start_scheduler()
    worker = rig.start_worker("01")
    job = rig.submit(make_spec(), ring=False)
    rig.store.script.redis.lpush(queues.list_key("platform.null", 0), HOSTILE[what](owned))
    rig.wait_until(
        lambda: job.status.terminal or worker.poll() is not None, "it was read", timeout_s=30
    )
    if worker.poll() is not None:
        rig.start_worker("01")  # as its agent would

    assert job.wait(timeout=30).state is JobState.SUCCEEDED
    assert not owned.exists()
