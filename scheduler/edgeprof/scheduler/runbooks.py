"""Serves the runbooks over HTTP, so that links in alerts work without internet."""

from __future__ import annotations

from pathlib import Path

from edgeprof.shared.telemetry.endpoint import Page
from edgeprof.shared.telemetry.http_answer import Answer


def runbook_pages() -> dict[str, Page]:
    """Return /runbooks and /runbooks/NAME for each section of the runbooks, as plain text."""
    sections = _sections(_source().read_text(encoding="utf-8"))
    index = "".join(f"/runbooks/{name}\n" for name in sections)
    return {"/runbooks": _page(index)} | {
        f"/runbooks/{name}": _page(text) for name, text in sections.items()
    }


def _source() -> Path:
    """Return the file: beside this module when installed, in monitoring/ in a checkout."""
    packaged = Path(__file__).with_name("runbooks.md")
    if packaged.is_file():
        return packaged
    return Path(__file__).parents[3] / "monitoring" / "runbooks" / "README.md"


def _sections(markdown: str) -> dict[str, str]:
    _, *parts = f"\n{markdown}".split("\n## ")
    return {part.splitlines()[0].strip(): f"## {part.strip()}\n" for part in parts}


def _page(text: str) -> Page:
    def page(_body: bytes) -> Answer:
        return "200 OK", "text/plain; charset=utf-8", text.encode()

    return page
