"""What tests share is in tests/support: no test depends on another folder's tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FOLDERS = sorted(folder.name for folder in TESTS.iterdir() if list(folder.glob("*.py")))


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_imports_itself_and_the_support_only(folder: str) -> None:
    """A module below tests/ may be imported by its own folder, and by all if it is in support."""
    allowed = (f"tests.{folder}.", "tests.support.")
    found = [
        f"{path.relative_to(TESTS)} imports {name}"
        for path in sorted((TESTS / folder).rglob("*.py"))
        for name in imported(path)
        if f"{name}.".startswith(("tests.", "benchmarks.")) and not f"{name}.".startswith(allowed)
    ]

    assert found == []


def test_no_test_module_is_imported() -> None:
    """No module imports a test module: what two of them need is in a module of its own."""
    found = [
        f"{path.relative_to(TESTS)} imports {name}"
        for path in sorted(TESTS.rglob("*.py"))
        for name in imported(path)
        if name.startswith("tests.") and any(part.startswith("test_") for part in name.split("."))
    ]

    assert found == []
