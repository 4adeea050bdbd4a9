"""Writes constraints/: the versions that are installed, and the hashes that pip checks.

python scripts/lock.py [--upgrade]

uv resolves for every Python at once; without --upgrade it keeps the versions that constraints/ has.
Each file is one set of packages. Those of the extras leave out the packages of base.txt.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.pylock import Package, PackageWheel, Pylock
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "constraints"
PYTHONS = ((3, 11), (3, 12), (3, 13), (3, 14))
SYSTEMS = ("any", "linux", "manylinux", "musllinux", "macosx")
HEADER = "# Written by `make constraints`; see docs/decisions/0009-pins.md."

# The requirements of each file. The packages of one environment are resolved together.
ENVIRONMENTS = (
    {
        "base": ["pyproject.toml"],
        "build": ["--group", "pyproject.toml:build"],
        "worker": ["pyproject.toml", "--extra", "worker"],
        "flash": ["pyproject.toml", "--extra", "flash"],
        "emulators": ["pyproject.toml", "--extra", "emulators"],
        "monitor": ["pyproject.toml", "--extra", "monitor"],
        "report": ["pyproject.toml", "--extra", "report"],
        "data": ["pyproject.toml", "--extra", "data"],
        "dev": ["pyproject.toml", "--extra", "dev"],
    },
    {"celery-exporter": ["--group", "pyproject.toml:celery-exporter"]},
    {"lock": ["--group", "pyproject.toml:lock"]},
)


def main() -> None:
    """Write every file."""
    FOLDER.mkdir(exist_ok=True)
    for environment in ENVIRONMENTS:
        with TemporaryDirectory() as folder:
            write(environment, Path(folder))


def write(environment: dict[str, list[str]], folder: Path) -> None:
    """Write the files of one environment, whose versions agree."""
    versions = folder / "versions.txt"
    versions.write_text("\n".join(known(environment)))  # uv prefers the versions that the file has
    compile_lock(chain.from_iterable(environment.values()), versions, *sys.argv[1:])
    base: set[str] = set()
    for name, source in environment.items():
        locked = folder / f"pylock.{name}.toml"
        compile_lock(source, locked, "--format", "pylock.toml", "--constraint", str(versions))
        packages = Pylock.from_dict(tomllib.loads(locked.read_text())).packages
        entries = {entry(package) for package in packages}
        if name == "base":
            base = entries
        elif name != "build":
            entries -= base
        (FOLDER / f"{name}.txt").write_text("\n".join([HEADER, *sorted(entries), ""]))


def known(environment: Iterable[str]) -> Iterable[str]:
    """Yield the current lines of the files, `name==version ; marker`."""
    for path in (FOLDER / f"{name}.txt" for name in environment):
        if path.exists():
            lines = path.read_text().splitlines()
            yield from (line.removesuffix(" \\") for line in lines if line[:1].isalnum())


def compile_lock(source: Iterable[str], to: Path, *options: str) -> None:
    """Let uv resolve, for every Python and system that pyproject.toml allows."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"]
    oldest = ".".join(map(str, PYTHONS[0]))
    settings = [
        "--no-header",
        "--no-annotate",
        "--python-version",
        oldest,
        "--output-file",
        str(to),
    ]
    subprocess.run(
        [*command, *settings, *options, *source], check=True, cwd=ROOT, stdout=subprocess.DEVNULL
    )


def entry(package: Package) -> str:
    """Return a package with its hashes, as pip reads them.

    The source is listed only when one of our Pythons has no wheel. Otherwise pip would build the
    source in place of a wheel whose hash is wrong, and that must be an error.
    """
    wheels = [wheel for wheel in package.wheels or () if fits(wheel, PYTHONS)]
    files = [wheel.hashes["sha256"] for wheel in wheels]
    if package.sdist and not all(any(fits(w, [python]) for w in wheels) for python in PYTHONS):
        files.append(package.sdist.hashes["sha256"])
    marker = f" ; {package.marker}" if package.marker else ""
    hashes = (f"    --hash=sha256:{digest}" for digest in sorted(files))
    return " \\\n".join([f"{package.name}=={package.version}{marker}", *hashes])


def fits(wheel: PackageWheel, pythons: Iterable[tuple[int, int]]) -> bool:
    """Return whether one of these Pythons can use the wheel, on a system where edgeprof runs."""
    taken = {
        (tag.interpreter, tag.abi)
        for major, minor in pythons
        for tag in (
            *cpython_tags((major, minor), [f"cp{major}{minor}"], ["any"]),
            *compatible_tags((major, minor), f"cp{major}{minor}", ["any"]),
        )
    }
    return any(
        (tag.interpreter, tag.abi) in taken and tag.platform.startswith(SYSTEMS)
        for tag in parse_wheel_filename(wheel.filename)[3]
    )


if __name__ == "__main__":
    main()
