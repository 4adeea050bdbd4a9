"""One lab for all tests of this folder."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.compose import images
from tests.compose.engine import engine
from tests.compose.images import ROOT
from tests.compose.lab import ContainerLab


@pytest.fixture(scope="session")
def lab() -> Iterator[ContainerLab]:
    """The lab, healthy when a test gets it for the first time."""
    folder = ROOT / "build" / "docker"
    folder.mkdir(parents=True, exist_ok=True)
    with engine(folder) as address:
        lab = ContainerLab(address, stand_in=images.build(address, folder))
        try:
            _up(lab)
            yield lab
        finally:
            lab.down("--volumes")


def _up(lab: ContainerLab) -> None:
    try:
        lab.up()
    except subprocess.CalledProcessError:
        pytest.fail(
            "the lab did not get healthy:\n" + lab.compose("logs", "--no-color", "--tail=50")
        )
