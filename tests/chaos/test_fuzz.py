"""The fuzz targets for a few seconds, from the kept corpus: `make fuzz` goes on where this ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import fuzz_firmware, fuzz_host_run
from tests.chaos.fuzz_firmware import FIRMWARE, TARGETS, Budget


@pytest.fixture(scope="session")
def fuzzers() -> None:
    """Build once, whichever of the parallel test processes comes first."""
    fuzz_firmware.build()


@pytest.mark.parametrize("target", TARGETS)
def test_a_short_campaign_against_the_firmware_finds_nothing(
    fuzzers: None, target: str, tmp_path: Path
) -> None:
    """The kept inputs, and ten thousand made of them, end without a sanitizer's report."""
    figures = fuzz_firmware.run(target, tmp_path, Budget(10_000, 8, 7), lambda *_: None)

    assert figures.crashes == ()
    assert figures.inputs > len(list((FIRMWARE / "fuzz" / "corpus" / target).iterdir()))
    # past the checksums and hashes: into operations, heads of every kind, and kernels
    assert figures.edges > {"link": 700, "payload": 100, "gguf": 400}[target]


def test_the_corpus_stays_small() -> None:
    """The kept inputs, which every clone carries, are below 200 kB."""
    kept = [path for path in (FIRMWARE / "fuzz" / "corpus").rglob("*") if path.is_file()]

    assert sum(path.stat().st_size for path in kept) < 200_000


def test_a_short_campaign_against_the_host_finds_nothing(tmp_path: Path) -> None:
    """Some thousand mutations of sound conversations make no error but a Fault; `make fuzz` goes on
    where this ends."""
    figures = fuzz_host_run.run(tmp_path, Budget(10_000, 8, 7), lambda *_: None)

    assert figures.crashes == ()
    assert figures.features > 100  # it got further than the first field
