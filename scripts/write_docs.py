"""Writes the parts of docs/ that come from code, and the firmware's table of rules.

They are commands, settings, exit codes, metrics, the fields of results and the list of decisions.
Host and firmware share the rules for models: the C header is made from the table in Python.

python scripts/write_docs.py           writes them
python scripts/write_docs.py --check   exits 1 and names the files that are out of date
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer.main
from notification_schema import notification_schema
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from record_schema import record_schema
from result_fields import MADE, results_page
from rules_header import rules_header
from typer.testing import CliRunner

from edgeprof.cli import exits
from edgeprof.cli.app import app
from edgeprof.scheduler.metrics import CustodianMetrics, lab_families
from edgeprof.scheduler.notify.metrics import NotifyMetrics
from edgeprof.scheduler.notify.settings import NotifySettings
from edgeprof.shared.settings import Settings
from edgeprof.workers.metrics.devices import DeviceMetrics
from edgeprof.workers.metrics.sessions import SessionMetrics

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
#: Defaults that depend on the machine, in words.
_COMPUTED = {
    "data_dir": "the user's data folder",
    "cache_dir": "the user's cache folder",
    "host": "the machine's name",
}


def settings_page() -> str:
    """Return docs/reference/settings.md: every EDGEPROF_* variable."""
    rows = [
        f"| `EDGEPROF_{name.upper()}` | {_default(name, field)} | {field.description} |"
        for kind in (Settings, NotifySettings)
        for name, field in kind.model_fields.items()
    ]
    return "\n".join(
        [
            "# Settings",
            "",
            MADE,
            "Read from the environment once, at the start of a command. A bad value is an error",
            "that names its variable. A host agent passes its settings to its board workers.",
            "Names end in their unit: `_S` is seconds, `_BYTES` bytes.",
            "",
            "| variable | default | meaning |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def commands_page() -> str:
    """Return docs/reference/cli.md: the help of every command, as printed."""
    runner = CliRunner()
    parts = ["# Commands", "", MADE]
    for arguments in _commands():
        shown = " ".join(["edgeprof", *arguments])
        help_text = runner.invoke(
            app, [*arguments, "--help"], prog_name="edgeprof", env={"COLUMNS": "80"}
        ).output
        lines = [line.rstrip() for line in help_text.strip().splitlines()]
        parts += [f"## {shown}", "", "```text", *lines, "```", ""]
    return "\n".join(parts)


def exits_page() -> str:
    """Return docs/reference/exit-codes.md."""
    rows = [f"| {code} | {meaning} |" for code, meaning in exits.MEANING.items()]
    return "\n".join(
        [
            "# Exit codes",
            "",
            MADE,
            "An error is one line on stderr, `error: …`, with a `hint: …` below it where there is",
            "something to do about it. Stdout carries only data that can be piped.",
            "",
            "| code | meaning |",
            "|---|---|",
            *rows,
            "",
        ]
    )


def metrics_page() -> str:
    """Return docs/reference/metrics.md: every metric family of every endpoint."""
    nowhere = CollectorRegistry
    sessions = SessionMetrics(nowhere(), lambda _: 1.0)
    sections: dict[str, Iterable[Any]] = {
        "Sessions and models: host agent, `:8000/metrics`": [
            *vars(sessions).values(),
            *vars(sessions.models).values(),
        ],
        "Devices: host agent, `:9100/metrics`": vars(DeviceMetrics(nowhere())).values(),
        "The lab: scheduler, `:8001/metrics`": [
            *vars(CustodianMetrics(nowhere())).values(),
            *vars(NotifyMetrics(nowhere())).values(),
            *lab_families(),
        ],
    }
    parts = ["# Metrics", "", MADE, *_METRICS_INTRODUCTION.splitlines(), ""]
    for title, found in sections.items():
        rows = [
            f"| `{family.name}{'_total' if family.type == 'counter' else ''}` | {family.type} |"
            f" {', '.join(f'`{label}`' for label in metric._labelnames) or '-'} |"  # noqa: SLF001 - there is no public way
            f" {family.documentation} |"
            for metric in found
            for family in _described(metric)
        ]
        parts += [f"## {title}", "", "| name | type | labels | meaning |", "|---|---|---|---|"]
        parts += [*rows, ""]
    return "\n".join(parts)


def _described(metric: Any) -> list[Any]:
    if isinstance(metric, Metric):
        return [metric]
    return list(metric.describe()) if isinstance(metric, MetricWrapperBase) else []


_METRICS_INTRODUCTION = """\
Names and labels of the customer's document are kept as they are; `_kb` and `_ms` names have
siblings in base units. A gauge that was never measured has no sample: without a sensor there is no
temperature, without a meter no power. In the OpenMetrics format, histograms carry the trace id of
the job as an exemplar. `edgeprof_build_info{version, component}` is on every endpoint.

How many series: a board costs at most 40, a model in one type on one platform about a dozen. A test
counts 200 boards of 4 platforms with 20 models in 3 types each: the sum, 10 600, must stay below
20 000. Job ids, trace ids, users and error texts are never labels: they are in logs and traces."""


def decisions_page() -> str:
    """Return docs/decisions/README.md: every record with its date and status, and their form."""
    rows = []
    for path in sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md")):
        title, _, date, status = path.read_text(encoding="utf-8").split("\n")[:4]
        number, _, what = title.removeprefix("# ").partition(". ")
        cells = (
            number,
            f"[{what}]({path.name})",
            date.partition(": ")[2],
            status.partition(": ")[2],
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(
        [
            "# Decisions",
            "",
            MADE,
            "A choice that somebody may want to undo has a record: what was known, decided and",
            "rejected, and what follows from it. A record is not rewritten when the choice",
            "changes: its status then names the record that replaces it.",
            "",
            "Form: `# N. Title`, a blank line, `- Date: YYYY-MM-DD`, `- Status: accepted`, and the",
            "sections Context, Decision, Rejected and, where they are known, Consequences.",
            "",
            "| | decision | date | status |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


PAGES = {
    "docs/decisions/README.md": decisions_page,
    "docs/reference/notification.schema.json": notification_schema,
    "docs/reference/record.schema.json": record_schema,
    "docs/reference/results.md": results_page,
    "docs/reference/settings.md": settings_page,
    "docs/reference/cli.md": commands_page,
    "docs/reference/exit-codes.md": exits_page,
    "docs/reference/metrics.md": metrics_page,
    "firmware/core/model/gguf_rules.h": rules_header,
}


def _default(name: str, field: FieldInfo) -> str:
    if name in _COMPUTED:
        return _COMPUTED[name]
    if field.default is None or field.default is PydanticUndefined:
        return "unset"
    value = field.default
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _commands() -> Iterator[tuple[str, ...]]:
    group = typer.main.get_command(app)
    yield ()
    for name in group.list_commands(None):  # type: ignore[attr-defined]
        yield (name,)
        command = group.get_command(None, name)  # type: ignore[attr-defined]
        for child in getattr(command, "commands", {}):
            yield (name, child)


def main() -> int:
    """Write the files, or compare them; returns the exit code."""
    check = "--check" in sys.argv[1:]
    stale = []
    for name, page in PAGES.items():
        path, text = ROOT / name, page()
        if check:
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                stale.append(name)
        else:
            path.write_text(text, encoding="utf-8")
    if stale:
        sys.stderr.write(f"out of date: {', '.join(stale)}; run make docs\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
