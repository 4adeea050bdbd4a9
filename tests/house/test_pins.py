"""What runs in CI is what was looked at: actions are named by commit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

WORKFLOWS = sorted((Path(__file__).parents[2] / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_named_by_commit(workflow: Path) -> None:
    """A tag can be moved to other code; the version behind it is for people."""
    used = re.findall(r"^\s*-?\s*uses:\s*(.+)$", workflow.read_text(), re.MULTILINE)

    assert used
    pinned = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*")
    assert [action for action in used if not pinned.fullmatch(action)] == []
