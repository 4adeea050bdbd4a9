"""Finds what comments and documents mention: names of files, settings, metrics, modules, models.

Nothing of edgeprof is imported here: the names are looked for in the tracked files themselves.
"""

from __future__ import annotations

import ast
import functools
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_PYTHON = {".py"}
_C = {".c", ".h", ".S", ".ld"}
_PROSE = {".md"}
_HASH_COMMENTS = {".yml", ".toml", ".sh", ".rules", ".service", ".cmake", ".example", ""}


@dataclass(frozen=True)
class Line:
    """One line that people read: of a document, of a comment, or of a docstring."""

    path: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.number}"


@functools.cache
def tracked() -> tuple[str, ...]:
    """Return the path of every tracked file that is there, from the root of the project."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    return tuple(name for name in listing.split("\0") if name and (ROOT / name).is_file())


@functools.cache
def text_of(path: str) -> str:
    """Return a tracked file's text; a file that is no text has none."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


@functools.cache
def prose() -> tuple[Line, ...]:
    """Return every line that people read: documents whole, of code only comments and docstrings."""
    return tuple(line for path in tracked() for line in _prose_of(path))


def _prose_of(path: str) -> Iterator[Line]:
    suffix = Path(path).suffix
    text = text_of(path)
    if suffix in _PROSE:
        yield from _lines(path, 1, text)
    elif suffix in _PYTHON:
        yield from _of_python(path, text)
    elif suffix in _C:
        for found in re.finditer(r"/\*.*?\*/|//[^\n]*", text, re.DOTALL):
            yield from _lines(path, text.count("\n", 0, found.start()) + 1, found[0])
    elif suffix == ".lua":
        for number, line in enumerate(text.splitlines(), 1):
            if "--" in line:
                yield Line(path, number, line.partition("--")[2])
    elif suffix in _HASH_COMMENTS:
        for number, line in enumerate(text.splitlines(), 1):
            if comment := re.search(r"(^|\s)#(.*)", line):
                yield Line(path, number, comment[2])


def _of_python(path: str, text: str) -> Iterator[Line]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield Line(path, token.start[0], token.string)
    for node in ast.walk(ast.parse(text)):
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and (docstring := ast.get_docstring(node, clean=False)):
            yield from _lines(path, node.body[0].lineno, docstring)


def _lines(path: str, first: int, text: str) -> Iterator[Line]:
    for number, line in enumerate(text.split("\n"), first):
        yield Line(path, number, line)


@functools.cache
def module_files() -> dict[str, str]:
    """Return the file of every module and package of edgeprof, by dotted name."""
    found = {}
    for path in tracked():
        match = re.fullmatch(r"(?:shared|workers|scheduler)/(edgeprof/.+)\.py", path)
        if match:
            dotted = match[1].removesuffix("/__init__").replace("/", ".")
            found[dotted] = path
    return found


def resolves(dotted: str) -> bool:
    """Whether a dotted name is a module of edgeprof, or a name that such a module defines or
    imports."""
    modules = module_files()
    parts = dotted.split(".")
    for length in range(len(parts), 1, -1):
        path = modules.get(".".join(parts[:length]))
        if path is not None:
            rest = parts[length : length + 1]
            return not rest or re.search(rf"\b{re.escape(rest[0])}\b", text_of(path)) is not None
    return False
