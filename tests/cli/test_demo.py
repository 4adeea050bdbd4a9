"""The demo leaves nothing behind, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from edgeprof.cli import exits
from edgeprof.workers.emulated.child import firmware_image
from tests.cli.conftest import Edgeprof

pytestmark = [pytest.mark.e2e, pytest.mark.qemu]

Demo = subprocess.Popen[str]

#: Platforms that get every model and type: one that has room for all, and one that has not.
WHOLE_SWEEP = ("native", "stm32f405")
#: Needs npm's registry.
MAY_BE_ABSENT = {"rp2040"}


def processes_of(folder: Path) -> list[str]:
    """Command lines of living processes that know `folder`, by argument or environment."""
    needle = os.fsencode(folder)
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            known = needle in command or needle in (entry / "environ").read_bytes()
        except OSError:
            continue
        if known and command:
            found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


@pytest.fixture
def demo(environment: Mapping[str, str], tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    """Start demos; `TMPDIR` marks everything they start as theirs."""
    started: list[Demo] = []
    (tmp_path / "tmp").mkdir()

    def start(*arguments: str) -> Demo:
        process = subprocess.Popen(
            [sys.executable, "-m", "edgeprof.cli", "demo", *arguments],
            env={**environment, "TMPDIR": str(tmp_path / "tmp")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_demo_leaves_no_process(
    demo: Callable[..., Demo],
    tmp_path: Path,
    wait_until: Callable[..., None],
    number: signal.Signals,
) -> None:
    """Ctrl-C and SIGTERM in the middle: 130, and Redis, workers and emulators are gone."""
    process = demo("--platform", "native", "--platform", "stm32f405")
    folder = tmp_path / "tmp"
    wait_until(
        lambda: any("qemu-system" in command for command in processes_of(folder)),
        "an emulator runs",
        timeout_s=90,
    )

    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == exits.INTERRUPTED, stderr
    assert "nothing of the demo is left running" in stderr
    assert processes_of(folder) == []
    assert list(folder.iterdir()) == []


@pytest.mark.timeout(600)
def test_demo_measures_the_sweep(demo: Callable[..., Demo], tmp_path: Path) -> None:
    """The demo ends in a table with each model and type on each platform, or a reasoned refusal.

    A platform whose emulator this machine has not is left out, with the reason. Three platforms
    tell the rule; tests/ports has the others, and `make demo` asks for all.
    """
    out = tmp_path / "demo.json"
    asked = [word for name in (*WHOLE_SWEEP, "rp2040") for word in ("--platform", name)]
    process = demo("--json", str(out), "--n-gen", "4", "--n-prompt", "2", *asked)
    stdout, stderr = process.communicate(timeout=540)

    assert process.returncode == exits.OK, stderr
    document = json.loads(out.read_text())
    done = {(r["model"], r["quantization"], r["platform"]) for r in document["results"]}
    refused = {(r["model"], r["quantization"], r["platform"]) for r in document["refused"]}
    left_out = {each["platform"] for each in document["left_out"]}
    assert left_out <= MAY_BE_ABSENT
    types = {
        "shakespeare-240k": ("F32", "Q8_0", "Q4_0"),
        "shakespeare-1m": ("F32", "Q8_0", "Q4_0", "TQ2_0"),
    }
    expected = {(m, q, p) for m in types for q in types[m] for p in WHOLE_SWEEP}
    expected |= {("shakespeare-240k", q, "rp2040") for q in types["shakespeare-240k"]}
    assert done | refused == {each for each in expected if each[2] not in left_out}
    assert all(r["state"] == "succeeded" and r["emulated"] for r in document["results"])
    assert all("weights" in r["reason"] for r in document["refused"])
    assert "tg4" in stdout
    assert processes_of(tmp_path / "tmp") == []


@pytest.mark.timeout(300)
def test_board_without_firmware_is_left_out(
    demo: Callable[..., Demo],
    tmp_path: Path,
    environment: dict[str, str],
) -> None:
    """It costs one line with the reason, and the other boards run."""
    environment["EDGEPROF_FIRMWARE_DIR"] = str(tmp_path / "firmware")
    image = firmware_image("tlep-native", "native")
    (tmp_path / "firmware").mkdir()
    (tmp_path / "firmware" / "native").symlink_to(image.parent)
    process = demo("--platform", "native", "--platform", "rp2040", "-n", "1", "-p", "1")
    stdout, stderr = process.communicate(timeout=240)

    assert process.returncode == exits.OK, stderr
    (line,) = [line for line in stderr.splitlines() if line.startswith("left out: ")]
    assert line.startswith("left out: rp2040: ")
    assert "pp1" in stdout
    assert "rp2040" not in stdout


def test_unknown_platform_is_refused(edgeprof: Edgeprof) -> None:
    """The message lists the platforms that there are, and nothing is started."""
    done = edgeprof("demo", "--platform", "esp32")

    assert done.returncode == exits.USAGE
    assert "esp32c3" in done.stderr
