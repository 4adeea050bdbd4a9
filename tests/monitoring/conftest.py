"""A small lab with all its monitoring, as `make lab` runs it, on a clock that goes 15 times as
fast."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from edgeprof.shared.settings import Settings
from monitoring.lab.config import ROOT
from monitoring.lab.lab import MonitoredLab, Ports
from monitoring.lab.plug import Plug

NATIVE = ROOT / "firmware" / "build" / "native" / "tlep-native"
FASTER = 15
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def compressed(text: str) -> str:
    """Divide every duration of a rule file or configuration, so that a test need not wait minutes.

    What the real durations do is for the promtool tests; here it is that everything fits together.
    """

    def shorter(found: re.Match[str]) -> str:
        seconds = float(found["number"]) * _UNITS[found["unit"]] / FASTER
        return f"{found['before']}{max(1, round(seconds))}s"

    text = re.sub(r"(?P<before>\[|: )(?P<number>\d+)(?P<unit>[smhd])(?=\]|\n)", shorter, text)
    return text.replace("< 900)", f"< {900 // FASTER})")


class FastLab(MonitoredLab):
    """MonitoredLab with compressed configuration and rules."""

    #: Of the boards, by name.
    plugs: dict[str, Plug]
    #: What tells a process where the collector is, and the collector.
    otel: dict[str, str]
    collector: Any

    def _write(self, name: str, text: str) -> Path:
        for kind in ("rules", "alerts"):
            shipped = ROOT / "monitoring" / "prometheus" / kind
            here = self._folder / kind
            here.mkdir(exist_ok=True)
            for path in shipped.glob("*.yml"):
                (here / path.name).write_text(compressed(path.read_text()))
            text = text.replace(str(shipped), str(here))
        # celery-exporter takes two seconds to answer, however fast the clock.
        slow = "job_name: celery-exporter\n  scrape_interval: "
        return super()._write(
            name, compressed(text).replace(f"{slow}2s", f"{slow}5s\n  scrape_timeout: 5s")
        )

    def ask(self, path: str, **query: str) -> Any:
        """Return what Prometheus' API answers."""
        url = self.url("prometheus", f"/api/v1/{path}?{urllib.parse.urlencode(query)}")
        with urllib.request.urlopen(url, timeout=30) as reply:
            return json.load(reply)["data"]

    def value(self, expr: str) -> list[Any]:
        """Return the samples of an instant query."""
        return list(self.ask("query", query=expr)["result"])

    def lines(self, **fields: str) -> list[dict[str, Any]]:
        """Return the log lines of all processes that have these fields."""
        found = []
        for path in sorted(self.settings.log_dir.glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                if all(entry.get(name) == value for name, value in fields.items()):
                    found.append(entry)
        return found

    def alerts(self, name: str, state: str, **labels: str) -> list[dict[str, Any]]:
        """Return what reached the scheduler through Alertmanager's webhook, about these labels."""
        return [
            line
            for line in self.lines(logger="profiler.alerts")
            if line["message"].startswith(f"{name} {state}:")
            and labels.items() <= line["alert"].items()
        ]

    def profile(self, board: str, *options: str) -> dict[str, Any]:
        """Submit a small job for a board and wait for it; returns the job."""
        size = ("--n-prompt", "8", "--n-gen", "8", "--repetitions", "1")
        (job,) = self.edgeprof(
            "submit", "-m", "shakespeare-240k", "--board", board, *size, *options
        )
        return dict(job)

    def edgeprof(self, *arguments: str) -> Any:
        """Run a command as a user would, in a process of its own; returns its JSON."""
        settings = self.settings.model_copy(update={"redis_url": self.redis_url})
        done = subprocess.run(
            [sys.executable, "-m", "edgeprof.cli", *arguments, "--json"],
            check=False,
            env={**os.environ, **settings.as_environment(), **self.otel},
            capture_output=True,
            text=True,
        )
        assert done.stdout, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="session")
def lab(
    tmp_path_factory: pytest.TempPathFactory,
    open_collector: Callable[[], Any],
    wait_until: Callable[..., None],
) -> Iterator[FastLab]:
    """Four native boards (well, hot, small, forgetful), each behind a plug; jobs have run on
    them."""
    boards = {
        "well": ["--temperature", "41000"],
        "hot": ["--temperature", "91000"],
        "small": ["--ram", "1048576"],  # the model takes more than 90 % of it
        "forgetful": ["--fault", "6:0"],  # has no memory, whatever is loaded
    }
    with ExitStack() as stack:
        collector = stack.enter_context(open_collector())
        otel = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        plugs = {
            name: stack.enter_context(Plug(name, NATIVE, ["--uid", f"a00{index}", *options]))
            for index, (name, options) in enumerate(boards.items())
        }
        settings = Settings(
            low_throughput="1,native=1000000000", host="testhost", probe_interval_s=0.5
        )
        urls = {name: plug.url for name, plug in plugs.items()}
        fast = FastLab(tmp_path_factory.mktemp("lab"), urls, settings, Ports.free())
        fast.otel, fast.plugs, fast.collector = otel, plugs, collector
        os.environ.update(otel)
        try:
            stack.enter_context(fast)
        finally:
            for name in otel:
                del os.environ[name]
        wait_until(
            lambda: len(fast.value("profiling_sessions_active == 0")) == len(plugs),
            "Prometheus knows each board: what it first sees at 1 has not increased",
        )
        for job in (
            ("well", "--score", "--quantization", "Q8_0"),
            ("well", "--profile"),
            ("small",),
        ):
            fast.profile(*job)
        wait_until(lambda: fast.value("up == 1"), "Prometheus has scraped")
        yield fast
