"""What runs is what was looked at: actions are named by commit, images by digest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_named_by_commit(workflow: Path) -> None:
    """A tag can be moved to other code; the version behind it is for people."""
    used = re.findall(r"^\s*-?\s*uses:\s*(.+)$", workflow.read_text(), re.MULTILINE)

    assert used
    pinned = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*")
    assert [action for action in used if not pinned.fullmatch(action)] == []


def test_images_are_named_by_digest() -> None:
    """Images of others have one, but for those that decision 9 lists as still to do."""
    files = [*ROOT.glob("docker-compose*.yml"), *ROOT.glob("docker/*.Dockerfile")]
    text = "\n".join(path.read_text() for path in files)
    bases = {"${PYTHON}", "${DEBIAN}"}  # what the ARG lines name
    named = set(re.findall(r"(?m)^(?: +image: |FROM |ARG \w+=)(\S+)", text)) - bases
    decision = (ROOT / "docs" / "decisions" / "0009-pins.md").read_text()
    waiting = set(re.findall(r"(?m)^    (\S+:\S+)$", decision.partition("**Not yet.**")[2]))

    assert {name for name in named if re.search(r":[\w.-]+@sha256:[0-9a-f]{64}$", name)}
    assert {name for name in named if "@" not in name and not name.startswith("tlep/")} == waiting
