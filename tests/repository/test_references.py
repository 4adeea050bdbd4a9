"""What comments and documents mention exists: files, settings, metrics, models, modules,
commands."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from edgeprof.cli.app import app
from edgeprof.scheduler.notify.settings import NotifySettings
from edgeprof.shared.models import catalogue
from edgeprof.shared.settings import Settings
from tests.repository import references
from tests.repository.references import ROOT, Line, prose, text_of, tracked

_FILE = re.compile(
    r"(?<![\w*{}$<>@.:/-])(?:\.?[\w-]+/|\.\./)*[\w.-]*\w"
    r"\.(?:py|lua|c|h|ld|md|yml|toml|json|jsonl|sh|txt|cddl|cmake|rules|service)\b(?![\w(:])"
)

#: Files that are somewhere else, and where.
_ELSEWHERE = {
    "Hugging Face's folders": ("config.json", "tokenizer.json", "tokenizer_config.json"),
    "llama2.c, a repository and its files": ("llama2.c", "run.c", "export.py"),
    "llama.cpp": ("compare-llama-bench.py",),
    "ESP-IDF": ("idf.py",),
    "pyserial's examples": ("rfc2217_server.py",),
    "Python's packaging": ("pylock.toml",),
    "the customer's document, which is not part of this repository": (
        "monitoring-and-observability.md",
    ),
    "what a lab host or a user writes": (
        "boards.toml",
        "docker-compose.override.yml",
        "night.toml",
        "NAME.toml",
        "held-out.txt",
        "FILE.toml",
    ),
    "what the embedded Redis keeps": ("server.json",),
    "what a command or a build writes": (
        "NAME.json",
        "demo.json",
        "profiler-HOST-PID.jsonl",
        "version.h",
        "tinyshakespeare.txt",
    ),
    "what no package may have": ("edgeprof/__init__.py",),
    "an example of a file that is to be written": (
        "mychip.ld",
        "mychip/stm32l4.ld",
        "script.ld",
    ),
    "Debian's udev": ("60-serial.rules", "73-seat-late.rules"),
}
_KNOWN_ELSEWHERE = frozenset(name for names in _ELSEWHERE.values() for name in names)

#: Variables that are no settings of edgeprof's own processes, and whose they are.
_OTHER_VARIABLES = {
    "EDGEPROF_FLOWER_BASIC_AUTH": "edgeprof flower",
    "EDGEPROF_LOGS": "docker-compose.yml",
    "EDGEPROF_KIND": "deploy/70-edgeprof.rules",
    "EDGEPROF_TELEMETRY_FD": "the agent, for its board workers",
    "EDGEPROF_FORK_SERVER_FD": "the agent, for its fork server",
    "EDGEPROF_PARENT_PID": "a fork server, for its board workers",
    "EDGEPROF_LAST_END": "the agent, for its board workers",
}

#: Dotted names that begin like a module and are none.
_NO_MODULES = {
    "edgeprof.commands": "an entry-point group of pyproject.toml",
    "edgeprof.profile": "the name of the Celery task",
    "edgeprof.clock_offset_error_s": "an attribute of a span",
    "edgeprof.board_s": "an attribute of a span",
    "edgeprof.board_spans_absent": "an attribute of a span",
}


pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")


def test_mentioned_files_exist() -> None:
    """A file that a comment or a document names is in the repository, or in a list of known
    others."""
    paths = tracked()
    wrong = []
    for line in prose():
        for found in _FILE.finditer(line.text):
            name = found[0].removeprefix("./")
            while name.startswith("../"):
                name = name[3:]
            if any(name == known or name.endswith(f"/{known}") for known in _KNOWN_ELSEWHERE):
                continue
            if name.startswith("edgeprof."):  # a module
                continue
            if not any(path == name or path.endswith(f"/{name}") for path in paths):
                wrong.append(f"{line}: {found[0]}")

    assert wrong == []


def test_links_of_documents_lead_somewhere() -> None:
    """A relative link of a document leads to a file or folder, and its anchor to a heading
    there."""
    wrong = []
    for line in _documents():
        for target in re.findall(r"\]\(([^)\s]+)\)", line.text):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            folder = posixpath.dirname(line.path)
            path = posixpath.normpath(posixpath.join(folder, name)) if name else line.path
            there = path in tracked() or any(p.startswith(f"{path}/") for p in tracked())
            if not there or (anchor and anchor not in _anchors(path)):
                wrong.append(f"{line}: {target}")

    assert wrong == []


def test_settings_exist() -> None:
    """Every EDGEPROF_* variable that any file mentions is a setting, or belongs to somebody
    known."""
    known = {
        f"EDGEPROF_{name.upper()}"
        for kind in (Settings, NotifySettings)
        for name in kind.model_fields
    } | set(_OTHER_VARIABLES)
    wrong = [
        f"{path}: {name}"
        for path in tracked()
        for name in set(re.findall(r"\bEDGEPROF_[A-Z0-9_]*[A-Z0-9]\b", text_of(path)))
        if name not in known
    ]

    assert wrong == []


def test_log_files_are_named_as_they_are_written() -> None:
    """A document that names a log file spells it as the process that writes it does."""
    written = r'f"profiler-{settings.host}-{os.getpid()}.jsonl"'
    told = [
        (str(line), name)
        for line in _documents()
        for name in re.findall(r"[\w*-]+\.jsonl", line.text)
        if name != "*.jsonl"
    ]

    assert written in text_of("shared/edgeprof/shared/telemetry/logs.py")
    assert {name for _, name in told} <= {"profiler-HOST-PID.jsonl", "profiler-HOST-*.jsonl"}


def test_metrics_exist() -> None:
    """A metric that a comment or a document names is in docs/reference/metrics.md.

    Names of records' fields, of labels and of the firmware's own look alike, and are allowed.
    """
    metrics = text_of("docs/reference/metrics.md")
    known = set(re.findall(r"`(\w+)[`{]", metrics))
    known |= set(re.findall(r"^\| `(\w+)` \|", text_of("docs/reference/results.md"), re.MULTILINE))
    known |= {"device_connection", "model_loading"}  # spans
    known |= {"celery_task_failed_total"}  # celery-exporter's
    firmware = "\n".join(text_of(path) for path in tracked() if path.startswith("firmware/"))
    wrong = []
    for line in prose():
        names = re.findall(r"\b(?:edgeprof|tlep)_\w+\b", line.text)
        if line.path.endswith(".md"):
            customers = "profiling|device|model|worker|quantization|celery"
            names += re.findall(rf"(?<=`)(?:{customers})_\w+\b", line.text)
        for name in names:
            family = re.sub(r"_(bucket|count|sum)$", "", name)
            if family not in known and not re.search(rf"\b{name}\b", firmware):
                wrong.append(f"{line}: {name}")

    assert wrong == []


def test_bundled_models_exist() -> None:
    """A model of the project that a comment or a document names is one that ships."""
    wrong = [
        f"{line}: {name}"
        for line in prose()
        for name in re.findall(r"\bshakespeare-\d+\w\b", line.text)
        if name not in catalogue.bundled()
    ]

    assert wrong == []


def test_invariants_are_defined() -> None:
    """Each invariant that is cited by its number is defined in docs/explanation/architecture.md."""
    defined = re.findall(
        r"^(\d+)\. \*\*", text_of("docs/explanation/architecture.md"), re.MULTILINE
    )
    cited = {
        number: str(line)
        for line in prose()
        for numbers in re.findall(r"[Ii]nvariants? (\d(?:(?:, | and | to |-)\d)*)", line.text)
        for number in re.findall(r"\d", numbers)
    }

    assert defined == [str(number) for number in range(1, 8)]
    assert {number: place for number, place in cited.items() if number not in defined} == {}


def test_modules_exist() -> None:
    """A dotted name of edgeprof is a module or a name in one, and examples import what is there."""
    wrong = []
    for line in prose():
        names = re.findall(r"(?<![\w/.@-])edgeprof(?:\.\w+)+", line.text)
        for module, imported in re.findall(r"from (edgeprof[\w.]*) import ([\w, ]+)", line.text):
            names += [f"{module}.{name.split()[0]}" for name in imported.split(",") if name.strip()]
        wrong += [
            f"{line}: {name}"
            for name in names
            if name not in _NO_MODULES and not references.resolves(name)
        ]

    assert wrong == []


def test_targets_of_make_exist() -> None:
    """A document names no target that the Makefile lacks."""
    targets = re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE)
    wrong = [
        f"{line}: make {target}"
        for line in _documents()
        for target in re.findall(r"(?:`|^ {4}(?:nice )?)make ([a-z][a-z-]*)", line.text)
        if target not in targets
    ]

    assert wrong == []


def test_tests_that_documents_name_exist() -> None:
    """A document that calls a test its proof names a test that is there."""
    tests = "\n".join(f"{path}\n{text_of(path)}" for path in tracked() if path[:6] == "tests/")
    wrong = [
        f"{line}: {name}"
        for line in _documents()
        for name in re.findall(r"`(test_\w+)`", line.text)
        if not re.search(rf"def {name}\b|/{name}\.py\b", tests)
        and name not in {"test_case", "test_duration", "test_time", "test_type"}  # no tests
    ]

    assert wrong == []


def test_commands_of_documents_exist() -> None:
    """Every call of edgeprof in a document names a command and options that are there."""
    wrong = [
        f"{line}: {call}: {trouble}"
        for line in _documents()
        if line.path != "docs/reference/cli.md"  # written from the commands themselves
        for call in _calls(line.text)
        if (trouble := _trouble(call)) is not None
    ]

    assert wrong == []


def _documents() -> Iterator[Line]:
    return (line for line in prose() if line.path.endswith(".md"))


def _anchors(path: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text_of(path), re.MULTILINE)
    bare = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in bare}


def _calls(text: str) -> Iterator[str]:
    """Return the calls of edgeprof in a line: in backticks, or as a line of a code block."""
    pieces = re.findall(r"`([^`]+)`", text)
    if text.startswith("    ") and "`" not in text:
        pieces.append(text)
    for piece in pieces:
        for part in re.split(r"&&|[|;&>]|\s#\s", piece):
            call = re.sub(r"^\s*(?:sudo |nice |\w+=\S* |\S*/bin/)*", "", part)
            if call.startswith("edgeprof "):
                yield call.strip()


def _trouble(call: str) -> str | None:
    """Say what is wrong with a call's command or options; None for a call that could be made."""
    command: Any = typer.main.get_command(app)
    is_value = False  # of the option before it, where a command could stand
    for word in shlex.split(call.replace("…", " "))[1:]:
        if word.startswith("-") and not re.match(r"-?-\d|-$", word):
            option = word.partition("=")[0]
            known = [name for p in command.params for name in (*p.opts, *p.secondary_opts)]
            if option not in {*known, "--help", "-h"}:
                return f"no option {option}"
            is_value = option == "--tag" and "=" not in word
        elif is_value:
            is_value = False
        elif hasattr(command, "get_command"):
            child = command.get_command(None, word)
            if child is None:
                return f"no command {word}"
            command = child
    return None
