"""`celery -A edgeprof.shared.queue.celery`: Celery's own tools, run by hand, see the boards of the
lab."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import pytest

import edgeprof.shared.queue.celery as module
from edgeprof.shared.settings import Settings
from tests.support.null_lab import Rig

pytestmark = pytest.mark.e2e


def celery(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "celery", "-A", "edgeprof.shared.queue.celery", *arguments],
        env={**os.environ, **settings.as_environment()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_status_and_inspect_see_the_boards(rig: Rig) -> None:
    """Each board is a node that answers, by the lab's settings alone."""
    rig.start_workers("01", "02")

    for command in (("status",), ("inspect", "active")):
        done = celery(rig.settings, *command)
        assert done.returncode == 0, done.stderr
        assert "2 nodes online" in done.stdout
        for node in ("w@null-01.testhost", "w@null-02.testhost"):
            assert node in done.stdout


def test_wrong_settings_are_one_line(settings: Settings) -> None:
    """Celery's tools say what ours say of a wrong setting, without a traceback, and no password."""
    wrong = settings.model_copy(update={"redis_url": "http://me:secret@lab"})
    done = celery(wrong, "status")

    assert done.returncode != 0
    assert "not a Redis URL" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert "secret" not in done.stderr + done.stdout


def test_importing_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module can be imported without a lab: the app is made when it is asked for."""
    monkeypatch.setenv("EDGEPROF_REDIS_URL", "nothing of the kind")

    importlib.reload(module)

    assert not hasattr(module, "tasks")
