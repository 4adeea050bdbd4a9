"""How a campaign's figures are shown: a table, JSON beside it, and an exit code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def show(
    title: str, figures: Mapping[str, Any], promises: Mapping[str, bool], file: str | None
) -> int:
    """Print the figures and which promises were kept; returns 0 when all were, else 1."""
    table = Table(title, "", show_header=True)
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), _words(value))
    table.add_section()
    for promise, kept in promises.items():
        table.add_row(promise, "[green]kept[/]" if kept else "[red]BROKEN[/]")
    Console().print(table)
    if file:
        told = {"campaign": title, "figures": figures, "promises": promises}
        Path(file).write_text(json.dumps(told, indent=2) + "\n")
    return 0 if all(promises.values()) else 1


def not_run(title: str, why: str) -> int:
    """Say that a campaign cannot run here; returns 0."""
    Console(stderr=True).print(f"{title}: not run, {why}")
    return 0


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {n}" for name, n in value.items()) or "none"
    return str(value)
