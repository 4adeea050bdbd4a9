"""The Python examples of README and docs are typed, and run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeprof.client import Lab
from edgeprof.shared.settings import Settings
from edgeprof.shared.types.board import BoardState

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = {
    f"{path.relative_to(ROOT)}:{number}": example
    for path in DOCUMENTS
    for number, example in enumerate(
        re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL), 1
    )
}
pytestmark = pytest.mark.parametrize("name", EXAMPLES)


def test_an_example_type_checks(name: str, tmp_path: Path) -> None:
    """A reader's type checker accepts each Python example as it is printed."""
    path = tmp_path / "example.py"
    path.write_text(EXAMPLES[name])
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    command += ["--cache-dir", str(tmp_path / "cache"), str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.e2e
def test_an_example_runs(
    name: str, settings: Settings, wait_until: Callable[..., None], tmp_path: Path
) -> None:
    """Each Python example ends well in a lab with one native board in place of its platform."""
    path = tmp_path / "example.py"
    path.write_text(re.sub(r'platform="\w+"', 'platform="native"', EXAMPLES[name]))
    environment = {**os.environ, **settings.as_environment()}
    agent = subprocess.Popen(
        [sys.executable, "-m", "edgeprof.cli", "worker", "--board", "native://?uid=0011"],
        env=environment,
    )
    try:
        with Lab(settings=settings) as lab:
            wait_until(lambda: [b for b in lab.boards() if b.state is BoardState.ONLINE], "a board")
        done = subprocess.run(
            [sys.executable, str(path)], env=environment, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
    finally:
        agent.terminate()
        agent.wait(30)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
