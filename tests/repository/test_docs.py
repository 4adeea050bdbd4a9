"""Docs that the code knows best are made from it, and every command explains itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from edgeprof.cli import exits
from edgeprof.cli.app import app
from edgeprof.scheduler.notify.settings import NotifySettings
from edgeprof.shared import errors
from edgeprof.shared.settings import Settings

ROOT = Path(__file__).parents[2]


def commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(app)
    found = {name: group.get_command(None, name) for name in group.list_commands(None)}
    for name, command in list(found.items()):
        for child_name, child in getattr(command, "commands", {}).items():
            found[f"{name} {child_name}"] = child
    return found


def test_generated_docs_are_current() -> None:
    """What `make docs` writes says what the code says."""
    done = subprocess.run(
        [sys.executable, "scripts/write_docs.py", "--check"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", commands())
def test_commands_have_help_with_an_example(name: str) -> None:
    """Every command has a summary of one line, and an example that calls it."""
    text = commands()[name].help or ""

    assert text.splitlines()[0].strip()
    assert "Example: " in text
    assert f"edgeprof {name}" in text


RECORDS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))


@pytest.mark.parametrize("record", RECORDS, ids=[path.stem for path in RECORDS])
def test_decisions_have_one_form(record: Path) -> None:
    """A decision has its number, a date, a status, and the same sections in the same order."""
    lines = record.read_text(encoding="utf-8").splitlines()
    sections = [line.removeprefix("## ") for line in lines if line.startswith("## ")]

    assert lines[0].startswith(f"# {int(record.name[:4])}. ")
    assert re.fullmatch(r"- Date: \d{4}-\d\d-\d\d", lines[2])
    assert re.fullmatch(r"- Status: (accepted|superseded by record \d+)(; .+)?", lines[3])
    assert sections in (
        ["Context", "Decision", "Rejected"],
        ["Context", "Decision", "Rejected", "Consequences"],
    )


def test_every_setting_is_described() -> None:
    """A setting without a description would be a hole in the table."""
    assert [
        name
        for kind in (Settings, NotifySettings)
        for name, field in kind.model_fields.items()
        if not field.description
    ] == []


def test_exit_codes_are_the_documented_ones() -> None:
    """Every error class ends in a code of the table."""

    def all_subclasses(cls: type) -> list[type]:
        children: list[type] = cls.__subclasses__()
        return [cls, *(found for child in children for found in all_subclasses(child))]

    classes = [c for c in all_subclasses(errors.EdgeprofError) if c is not errors.Fault]
    codes = {cls.__name__: exits.code_of(cls("x")) for cls in classes}

    assert set(codes.values()) <= set(exits.MEANING)
    assert codes["UsageError"] == codes["ModelError"] == codes["JobError"] == exits.USAGE
    assert codes["StoreUnavailable"] == codes["LinkFault"] == exits.INFRASTRUCTURE
