"""`make lab`: starts everything, prints the URLs, then alerts as they fire, until Ctrl-C."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from edgeprof.cli.demo.children import Terminated, sigterm_unwinds
from edgeprof.shared import private_files
from edgeprof.shared.errors import EdgeprofError, InfrastructureError
from edgeprof.shared.settings import load_settings
from monitoring.lab.config import ROOT
from monitoring.lab.lab import MonitoredLab, Ports
from monitoring.lab.plug import Plug

_FOLDER: Final = ROOT / "build" / "lab"
_NATIVE: Final = ROOT / "firmware" / "build" / "native" / "tlep-native"
#: DeviceDisconnected fires after 30 s and clears after this time, while the user watches.
_REPLUG_S: Final = 90.0
_EMULATED: Final = {
    "stm32f405-1": "qemu://stm32f405?uid=1ab3",
    "riscv32-virt-1": "qemu://riscv32-virt?uid=1ab4",
}
_POLL_S: Final = 2.0


def main() -> int:
    """Run the lab; returns the exit code."""
    console = Console(stderr=True, highlight=False)
    try:
        with sigterm_unwinds(), ExitStack() as stack:
            stack.enter_context(_only_one())
            plugs = [
                stack.enter_context(_plug("native-1", "1ab1", "41000")),
                stack.enter_context(_plug("native-2", "1ab2", "43500")),
            ]
            boards = {plug.name: plug.url for plug in plugs} | _EMULATED
            with console.status("starting the lab and its monitoring …"):
                lab = MonitoredLab(_FOLDER, boards, load_settings(), Ports.usual())
                stack.enter_context(lab)
            _tell(console, lab, plugs)
            _first_jobs(lab)
            _watch(console, lab)
    except (KeyboardInterrupt, Terminated):
        console.print("stopped; what was recorded is in", str(_FOLDER.relative_to(Path.cwd())))
    except EdgeprofError as error:
        console.print(f"error: {error}", markup=False, soft_wrap=True)
        if error.hint:
            console.print(f"hint: {error.hint}", markup=False, soft_wrap=True)
        return 1
    return 0


@contextmanager
def _only_one() -> Iterator[None]:
    """Allow one lab a folder: two would share Redis, and confuse their boards."""
    private_files.make_folder(_FOLDER)
    with (_FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InfrastructureError(
                f"a lab already runs in {_FOLDER}", hint="end it with Ctrl-C where it runs"
            ) from None
        yield


def _plug(name: str, uid: str, millidegrees: str) -> Plug:
    options = ["--uid", uid, "--temperature", millidegrees]
    return Plug(name, _NATIVE, options, replug_s=_REPLUG_S)


def _tell(console: Console, lab: MonitoredLab, plugs: list[Plug]) -> None:
    table = Table(box=None, padding=(0, 2))
    table.add_column("what")
    table.add_column("where")
    for what, where in {
        "Flower: boards and their tasks": lab.url("flower"),
        "Prometheus: metrics and alerts": lab.url("prometheus", "/alerts"),
        "Alertmanager: what fires": lab.url("alertmanager"),
        "runbooks": lab.url("scheduler", "/runbooks"),
        "metrics of sessions": lab.url("sessions", "/metrics"),
        "metrics of devices": lab.url("devices", "/metrics"),
        "metrics of the lab": lab.url("scheduler", "/metrics"),
        "logs, one file a process": str(lab.settings.log_dir),
    }.items():
        table.add_row(what, where)
    console.print(table)
    console.print("\nUse it from another terminal:", markup=False)
    for line in (
        f"export EDGEPROF_REDIS_URL={lab.redis_url}",
        ".venv/bin/edgeprof boards",
        ".venv/bin/edgeprof submit -m shakespeare-240k --platform native",
    ):
        console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print("\nPull a board's plug, and see it here and in Prometheus within a minute:")
    for plug in plugs:
        console.print(f"  kill -9 {plug.pid}   # {plug.name}; it is back after {_REPLUG_S:.0f} s")
    console.print("\nAll boards are emulated. Ctrl-C stops everything.")


def _first_jobs(lab: MonitoredLab) -> None:
    """Queue a job for each platform, so that the dashboards are not empty."""
    for platform in ("native", "stm32f405", "riscv32-virt"):
        lab.lab.submit("shakespeare-240k", platform=platform, n_prompt=16, n_gen=16)


def _watch(console: Console, lab: MonitoredLab) -> None:
    """Print the alerts that Alertmanager has, as they come and go."""
    known: dict[str, dict[str, Any]] = {}
    while True:
        lab.children.check()
        now = {alert["fingerprint"]: alert for alert in _alerts(lab)}
        for fingerprint in now.keys() - known.keys():
            alert = now[fingerprint]
            say = f"{_clock()} FIRING   {alert['labels']['alertname']}"
            console.print(f"{say}: {alert['annotations']['summary']}", markup=False)
            console.print(f"         runbook: {alert['annotations']['runbook_url']}", markup=False)
        for fingerprint in known.keys() - now.keys():
            alert = known[fingerprint]
            summary = alert["annotations"]["summary"]
            console.print(
                f"{_clock()} RESOLVED {alert['labels']['alertname']}: {summary}", markup=False
            )
        known = now
        time.sleep(_POLL_S)


def _alerts(lab: MonitoredLab) -> list[dict[str, Any]]:
    with urllib.request.urlopen(lab.url("alertmanager", "/api/v2/alerts"), timeout=5) as reply:
        alerts: list[dict[str, Any]] = json.load(reply)
    return [alert for alert in alerts if alert["status"]["state"] == "active"]


def _clock() -> str:
    return time.strftime("%H:%M:%S")


if __name__ == "__main__":
    os.environ.setdefault("EDGEPROF_LOW_THROUGHPUT", "1,riscv32-virt=0.1,stm32f405=0.1")
    sys.exit(main())
