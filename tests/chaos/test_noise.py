"""The short form of the noise campaign: a few thousand frames."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import noise
from tests.chaos.noise_plot import plot
from tests.support.noisy_line import Noise


def test_noise_never_makes_a_wrong_number(tmp_path: Path) -> None:
    """Uploads, runs and scores on bad lines are the clean line's to the bit, or a link or board
    fault."""
    tallies = noise.campaign(6000, (0.0, 1e-4, 3e-4), lanes=3, line_rate=3_000_000)

    assert noise.kept(tallies), [t.wrong + t.misplaced for t in tallies.values()]
    assert tallies[0.0].faults == {}
    assert tallies[3e-4].damaged > 0
    assert sum(t.frames for t in tallies.values()) >= 6000
    plot(noise.rows(tallies), tmp_path / "noise.png")
    assert (tmp_path / "noise.png").stat().st_size > 0


@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_noise_is_the_same_each_time(pieces: int) -> None:
    """A seed gives the same damage, up to what comes late, however the bytes are cut into
    pieces."""

    def spoiled(size: int) -> tuple[Noise, bytes]:
        noise = Noise("seed", 0.01)
        data = bytes(range(1, 201)) * 20
        out = b"".join(noise.spoil(data[at : at + size]) for at in range(0, len(data), size))
        return noise, out

    first, second = spoiled(pieces), spoiled(pieces)

    assert first[1] == second[1]
    assert first[0].damaged_frames == second[0].damaged_frames


def test_clean_line_changes_nothing() -> None:
    """A line without noise carries every byte, and counts frames."""
    clean = Noise("seed", 0.0)

    assert clean.spoil(b"\0abc\0\0de\0") == b"\0abc\0\0de\0"
    assert (clean.frames, clean.damaged_frames) == (2, 0)
