"""scripts/lock.py: which files of a release are listed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from packaging.pylock import Pylock

WHEEL = "a-1-{}-{}-{}.whl"
PYTHONS = ("311", "312", "313", "314")


@pytest.fixture(scope="module")
def lock() -> ModuleType:
    path = Path(__file__).parents[2] / "scripts" / "lock.py"
    spec = importlib.util.spec_from_file_location("lock", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def listed(lock: ModuleType, *wheels: str) -> list[str]:
    """Return the files of a release that are listed, of these wheels and a source."""
    files = ["a-1.tar.gz", *wheels]
    hashes = {name: f"{number:064}" for number, name in enumerate(files)}
    release = [
        {"url": f"https://registry.invalid/{name}", "hashes": {"sha256": hashes[name]}}
        for name in files
    ]
    package = {"name": "a", "version": "1", "sdist": release[0], "wheels": release[1:]}
    lockfile = {"lock-version": "1.0", "created-by": "a test", "packages": [package]}
    entry = lock.entry(Pylock.from_dict(lockfile).packages[0])
    assert "registry.invalid" not in entry
    return [name for name in files if hashes[name] in entry]


def test_a_source_is_listed_only_where_a_python_has_no_wheel(lock: ModuleType) -> None:
    """A wheel for each Python: then no wrong hash can have pip build the source in its place."""
    each = [WHEEL.format(f"cp{n}", f"cp{n}", "manylinux_2_28_x86_64") for n in PYTHONS]

    assert listed(lock, *each) == each
    assert listed(lock, *each[:-1]) == ["a-1.tar.gz", *each[:-1]]
    assert listed(lock) == ["a-1.tar.gz"]


@pytest.mark.parametrize(
    "wheel",
    [
        WHEEL.format("py3", "none", "any"),
        WHEEL.format("py2.py3", "none", "any"),
        WHEEL.format("cp38", "abi3", "manylinux2014_x86_64"),
        WHEEL.format("py3", "none", "macosx_11_0_arm64.macosx_10_12_x86_64"),
    ],
)
def test_a_wheel_for_every_python_is_enough(lock: ModuleType, wheel: str) -> None:
    """Pure Python, the stable ABI, and a program in a wheel fit each of our Pythons."""
    assert listed(lock, wheel) == [wheel]


@pytest.mark.parametrize(
    "wheel",
    [
        WHEEL.format("cp310", "cp310", "manylinux2014_x86_64"),
        WHEEL.format("cp313", "cp313t", "manylinux2014_x86_64"),
        WHEEL.format("cp315", "abi3", "manylinux2014_x86_64"),
        WHEEL.format("pp311", "pypy311_pp73", "manylinux2014_x86_64"),
        WHEEL.format("cp313", "cp313", "win_amd64"),
    ],
)
def test_what_no_host_of_ours_takes_is_left_out(lock: ModuleType, wheel: str) -> None:
    """Other Pythons and Windows have no place in the list: it stays short."""
    assert listed(lock, wheel) == ["a-1.tar.gz"]
