"""Output that cannot be written, and Ctrl-C at any moment: one line at most, and an exit code that
fits."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest

from edgeprof.cli import exits

LISTS = ("models list", "models list --json", "--version", "--help", "jobs --json")


@pytest.fixture
def shell(environment: Mapping[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`shell("{edgeprof} jobs > /dev/full")`: run a line of bash."""

    def run(line: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = f"{sys.executable} -m edgeprof.cli"
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line.format(edgeprof=command)],
            env={**environment, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def assert_told(done: subprocess.CompletedProcess[str], code: int, words: str) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert [words in line for line in errors] == [True]


@pytest.mark.parametrize("command", LISTS)
def test_full_output_is_told(shell: Callable[..., object], command: str) -> None:
    """Data that was not written is an error, which names the output and the reason."""
    done: object = shell(f"{{edgeprof}} {command} > /dev/full")

    assert isinstance(done, subprocess.CompletedProcess)
    assert_told(done, exits.INFRASTRUCTURE, "standard output: No space left")


@pytest.mark.parametrize("command", LISTS[:3])
def test_closed_output_is_told(shell: Callable[..., object], command: str) -> None:
    """A command without a standard output says so; no socket takes the output's place."""
    done: object = shell(f"{{edgeprof}} {command} >&-")

    assert isinstance(done, subprocess.CompletedProcess)
    assert_told(done, exits.INFRASTRUCTURE, "standard output: it is closed")


def test_closed_output_is_no_error_without_data(shell: Callable[..., object]) -> None:
    """A command that only tells the person needs no standard output."""
    done: object = shell("{edgeprof} jobs >&- && {edgeprof} jobs <&- >&- 2>&-")

    assert isinstance(done, subprocess.CompletedProcess)
    assert (done.returncode, done.stderr) == (exits.OK, "no jobs\n")


@pytest.mark.parametrize("gone", ["2>&-", "2>/dev/full"])
def test_messages_that_nobody_gets_change_nothing(shell: Callable[..., object], gone: str) -> None:
    """The exit code and the data are the same with and without a standard error."""
    done: object = shell(f"{{edgeprof}} jobs --json {gone} && {{edgeprof}} job nobody {gone}")

    assert isinstance(done, subprocess.CompletedProcess)
    assert (done.returncode, done.stdout.strip()) == (exits.USAGE, "[]")


@pytest.mark.parametrize("command", LISTS[:4])
def test_a_reader_that_leaves_is_no_error(shell: Callable[..., object], command: str) -> None:
    """`| head` ends the command as SIGPIPE would, without a word."""
    done: object = shell(f"{{edgeprof}} {command} | true")

    assert isinstance(done, subprocess.CompletedProcess)
    # It may have been faster than `true`.
    assert done.returncode in {exits.OUTPUT_NOT_READ, exits.OK}
    assert done.stderr == ""


@pytest.mark.parametrize(
    "variables", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}]
)
def test_ascii_terminals_get_ascii(shell: Callable[..., object], variables: dict[str, str]) -> None:
    """A character that a terminal cannot show becomes a question mark, not an error."""
    more = {"PYTHONCOERCECLOCALE": "0", **variables}
    done: object = shell("{edgeprof} models list && {edgeprof} job ümläut", **more)

    assert isinstance(done, subprocess.CompletedProcess)
    assert done.returncode in {exits.INFRASTRUCTURE, exits.USAGE}
    assert done.stdout.isascii()
    assert "bug" not in done.stderr
    assert "error: " in done.stderr


def test_no_space_for_a_file_names_it(environment: Mapping[str, str], tmp_path: Path) -> None:
    """A file that outgrows what there is: its name, the reason, and nothing left behind."""
    out = tmp_path / "out" / "model.gguf"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "edgeprof.cli", "models", "quantize"),
            *("shakespeare-240k", "q8_0", "-o", str(out)),
        ],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )

    assert_told(done, exits.INFRASTRUCTURE, f"cannot write {out}: ")
    assert list(out.parent.iterdir()) == []


def test_a_device_is_not_replaced(edgeprof: Callable[..., object], tmp_path: Path) -> None:
    """-o names a file; what is there and is none stays as it is."""
    pipe = tmp_path / "pipe"
    subprocess.run(["mkfifo", str(pipe)], check=True)
    done: object = edgeprof("models", "quantize", "shakespeare-240k", "q8_0", "-o", str(pipe))

    assert isinstance(done, subprocess.CompletedProcess)
    assert_told(done, exits.INFRASTRUCTURE, "not a regular file")
    assert pipe.is_fifo()


@pytest.mark.parametrize("share", [0, 0.01, 0.1, 0.3, 0.6, 0.9])
def test_ctrl_c_while_modules_are_imported(environment: Mapping[str, str], share: float) -> None:
    """Ctrl-C ends the command with 130 and no traceback, from our first line on."""
    # A line for each module that is imported; how many there are differs between Pythons.
    command = [*(sys.executable, "-X", "importtime", "-m", "edgeprof.cli"), "boards", "-h"]
    start = partial(
        subprocess.Popen[str],
        command,
        env=dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with start() as whole:
        modules = whole.communicate()[1].splitlines()
    ours = next(n for n, line in enumerate(modules) if line.endswith("| edgeprof.cli"))
    process = start()
    assert process.stderr is not None
    try:
        # Two lines after ours __main__ has called us.
        seen = ours + 2 + int(share * (len(modules) - ours - 2))
        lines = [process.stderr.readline() for _ in range(seen + 1)]
        process.send_signal(signal.SIGINT)
        lines += process.stderr
    finally:
        process.kill()
        process.stderr.close()

    assert process.wait() == exits.INTERRUPTED
    assert [line for line in lines if not line.startswith("import time:")] == []
