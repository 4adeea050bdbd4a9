"""Sweeps: files of them, plans against boards that were only announced, and rows made by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeprof.client import Lab, Request
from edgeprof.client.planning import Planned
from edgeprof.client.sweep_file import SweepFile
from edgeprof.shared.settings import Settings


@pytest.fixture
def lab(settings: Settings) -> Iterator[Lab]:
    with Lab(settings=settings) as opened:
        yield opened


@pytest.fixture
def plan(lab: Lab) -> Callable[[Request], Planned]:
    """`plan(request)`: its job, for a board that nobody has announced."""

    def make(request: Request) -> Planned:
        waiting = dataclasses.replace(request, platform="someday", wait_for_board=True)
        return lab.plan(waiting)

    return make


@pytest.fixture
def sweep_file(tmp_path: Path) -> Callable[[str], SweepFile]:
    """`sweep_file(text)`: a sweep's file as it is read."""

    def read(text: str) -> SweepFile:
        path = tmp_path / "night.toml"
        path.write_text(text)
        return SweepFile.read(path)

    return read
