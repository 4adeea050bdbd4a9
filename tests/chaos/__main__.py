"""`make chaos`: every campaign, one after the other, each with its figures; JSON into build/chaos.

Exit code 1 when a promise was broken. `python -m tests.chaos storm boards` runs these only.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]

#: Campaign -> about how long it takes on two cores, in minutes.
CAMPAIGNS = {
    "exhaustive": 6,
    "noise": 5,
    "boards": 12,
    "sick_hosts": 4,
    "embedded": 5,
    "stalls": 3,
    "partitions": 7,
    "storm": 12,
}


def main() -> int:
    """Run campaigns; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("campaigns", nargs="*", metavar="CAMPAIGN", help=", ".join(CAMPAIGNS))
    chosen = parser.parse_args().campaigns or list(CAMPAIGNS)
    if unknown := [name for name in chosen if name not in CAMPAIGNS]:
        parser.error(f"no campaign {unknown[0]!r}; there are {', '.join(CAMPAIGNS)}")
    console = Console()
    folder = ROOT / "build" / "chaos"
    folder.mkdir(parents=True, exist_ok=True)
    codes = {}
    for name in chosen:
        console.rule(f"{name}, about {CAMPAIGNS[name]} min")
        command = [
            sys.executable,
            "-m",
            f"tests.chaos.{name}",
            "--json",
            str(folder / f"{name}.json"),
        ]
        codes[name] = subprocess.run(command, cwd=ROOT, check=False).returncode
    table = Table("Campaign", "promises")
    for name, code in codes.items():
        table.add_row(name, "[green]kept[/]" if code == 0 else "[red]BROKEN[/]")
    console.print(table)
    console.print(f"figures: {folder.relative_to(ROOT)}/*.json")
    return int(any(codes.values()))


if __name__ == "__main__":
    sys.exit(main())
