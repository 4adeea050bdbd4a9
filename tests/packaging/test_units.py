"""The systemd units: systemd itself finds nothing wrong, and every serial port may be opened."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).parents[2] / "deploy").glob("*.service"))
PROGRAM = "/opt/edgeprof/bin/edgeprof"

#: Names under which the kernel's drivers of serial ports stand in /proc/devices.
SERIAL = [
    "ttyS",
    "ttyAMA",
    "ttyACM",
    "ttyUSB",
    "ttyXRUSB",
    "ttyCH343USB",
    "ttyMXUSB",
    "ttyGS",
    "ttymxc",
    "ttySAC",
    "ttyMSM",
    "ttyHS",
    "ttyTHS",
    "ttyO",
    "ttyPS",
    "ttyUL",
    "ttySTM",
    "ttySIF",
    "ttySC",
    "ttyMAX",
    "ttyLP",
    "ttyAT",
    "ttyAPP",
    "ttyAML",
    "ttyMV",
    "ttyn",
    "rfcomm",
]


def test_both_services_have_a_unit() -> None:
    """A lab has a scheduler, and hosts with boards."""
    assert [unit.stem for unit in UNITS] == ["edgeprof-scheduler", "edgeprof-worker"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    """`systemd-analyze verify` is silent, with a program that exists here in place of the installed
    one."""
    copy = tmp_path / unit.name
    assert PROGRAM in unit.read_text()
    copy.write_text(unit.read_text().replace(PROGRAM, sys.executable))

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_worker_may_open_every_serial_port() -> None:
    """Whichever driver serves a port, the unit allows it; other devices it does not."""
    (worker,) = (unit for unit in UNITS if unit.stem == "edgeprof-worker")
    allowed = re.findall(r"^DeviceAllow=char-(\S+) rw$", worker.read_text(), re.MULTILINE)

    def may(name: str) -> bool:  # as systemd matches groups: by fnmatch
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed)

    assert [name for name in SERIAL if not may(name)] == []
    assert [
        name for name in ("mem", "input", "hidraw", "tty", "vcs", "watchdog") if may(name)
    ] == []


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_wrong_setting_is_not_tried_for_ever(unit: Path) -> None:
    """Exit code 2 ends a service; after any other it is started again."""
    text = unit.read_text()

    assert "\nRestartPreventExitStatus=2\n" in text
    assert "\nRestart=always\n" in text
    assert "\nStartLimitIntervalSec=0\n" in text
