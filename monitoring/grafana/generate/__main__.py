"""Writes the dashboards. With --check it names the files that differ, and exits with 1."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from monitoring.grafana.generate import capacity, device_health, job, main, models, queue

FOLDER = Path(__file__).parents[1] / "dashboards"
DASHBOARDS = (
    main.DASHBOARD,
    device_health.DASHBOARD,
    queue.DASHBOARD,
    models.DASHBOARD,
    capacity.DASHBOARD,
    job.DASHBOARD,
)


def run(*, check: bool) -> int:
    """Write the files, or compare them; returns the exit code."""
    stale = []
    for dashboard in DASHBOARDS:
        path = FOLDER / f"{dashboard['uid']}.json"
        made = json.dumps(dashboard, indent=2) + "\n"
        if not check:
            path.write_text(made, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != made:
            stale.append(path.name)
    if stale:
        sys.stderr.write(f"out of date: {', '.join(stale)}; run make dashboards\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(run(check="--check" in sys.argv[1:]))
