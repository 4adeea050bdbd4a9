"""Rules of the house: what keeps one distribution over three source roots sound."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOTS = ("shared", "workers", "scheduler")

#: Machine paths and hosts that were true for one developer only. Split, so as not to find
#: themselves.
PRIVATE = re.compile(rb"/" + rb"work/|/" + rb"root/|/" + rb"home/[a-z]+/|bash" + rb"_jobs")


def tracked_files() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    files = (ROOT / name.decode() for name in listing.split(b"\0") if name)
    return [path for path in files if path.is_file()]


@pytest.mark.parametrize("root", ROOTS)
def test_namespace_has_no_init(root: str) -> None:
    """A stray __init__.py would hide the other two roots, and only from editable installs."""
    assert not (ROOT / root / "__init__.py").exists()
    assert not (ROOT / root / "edgeprof" / "__init__.py").exists()


@pytest.mark.parametrize("root", ROOTS)
def test_every_leaf_package_is_typed(root: str) -> None:
    """py.typed stands in each leaf: a namespace cannot carry one for them."""
    assert (ROOT / root / "edgeprof" / root / "py.typed").is_file()


def test_layers_hold() -> None:
    """Workers and scheduler never import each other, and shared imports neither."""
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports; exit(lint_imports())"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout


def test_base_install_imports_without_the_worker_extra() -> None:
    """The command line starts where pyserial, cobs and cbor2 were never installed."""
    blocked = "import sys; sys.modules.update(serial=None, cobs=None, cbor2=None)"
    done = subprocess.run(
        [sys.executable, "-c", f"{blocked}\nfrom edgeprof.cli.app import app"],
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr


def test_no_machine_paths() -> None:
    """No committed file names a folder of the machine it was written on."""
    files = [path for path in tracked_files() if path.suffix not in {".gguf", ".png"}]

    guilty = [str(path.relative_to(ROOT)) for path in files if PRIVATE.search(path.read_bytes())]

    assert guilty == []


@pytest.mark.parametrize(
    "script",
    [
        ".ci/run",
        *(f"scripts/{n}" for n in ("apt-packages.sh", "make-venv.sh")),
        "firmware/toolchains/xtensa-llvm-cc",
    ],
)
def test_scripts_pass_shellcheck(script: str) -> None:
    """Shell is checked like any other code."""
    done = subprocess.run(
        ["shellcheck", script], check=False, cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout
