"""Speed against noise, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw upload and run speed, as shares of the clean line's, over hits a byte."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    noisy = [row for row in rows if row["hits/byte"] > 0]
    for name, label in (("upload share", "upload bytes/s"), ("runs share", "runs/s")):
        axes.plot([r["hits/byte"] for r in noisy], [r[name] for r in noisy], "o-", label=label)
    axes.axhline(1.0, color="grey", linewidth=0.8)
    axes.set(
        xscale="log",
        ylim=(0, 1.1),
        xlabel="hits a byte (flip, drop, repeat, swap, late), each direction",
        ylabel="share of the clean line",
        title="Speed against noise on the link",
    )
    axes.legend()
    figure.savefig(path, dpi=150)
