"""constraints/ holds what is installed to its hashes, and nothing is installed around it."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "constraints").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_package_has_a_version_and_hashes(path: Path) -> None:
    """A file has packages with their hashes, and nothing else: no host, no folder, not this
    project."""
    comment, *rest = path.read_text().splitlines(keepends=True)
    package = r'[a-z0-9.-]+==[\w.!+]+( ; [\w."<>=!() ]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+\n'

    assert comment.startswith("# Written by `make constraints`")
    assert re.fullmatch(f"({package})+", "".join(rest))
    assert PROJECT["project"]["name"] not in names(path.stem)


@pytest.mark.parametrize(
    ("wanted", "files"),
    [
        (PROJECT["project"]["dependencies"], ["base"]),
        (PROJECT["build-system"]["requires"], ["build"]),
        *(
            (PROJECT["project"]["optional-dependencies"][extra], ["base", extra])
            for extra in ("worker", "monitor", "report", "dev")
        ),
        *((wanted, [group]) for group, wanted in PROJECT["dependency-groups"].items()),
    ],
    ids=lambda value: value[-1] if len(value) < 3 else "",
)
def test_every_dependency_is_listed(wanted: list[str], files: list[str]) -> None:
    """Each dependency of pyproject.toml is in the constraints file of its set."""
    listed = {name: version for file in files for name, version in names(file).items()}

    requirements = [Requirement(line) for line in wanted]

    assert [
        str(requirement)
        for requirement in requirements
        if not requirement.specifier.contains(listed.get(canonicalize_name(requirement.name), "0"))
    ] == []


def test_nothing_is_installed_without_hashes() -> None:
    """Each pip in Makefile, images and CI checks hashes, or takes what is here and no
    dependency."""
    places = [ROOT / "Makefile", *ROOT.glob("docker/*"), *ROOT.glob(".github/workflows/*")]
    text = "\n".join(path.read_text() for path in places).replace("\\\n", " ")
    text = re.sub(r"(?m)^(PIP|LOCKED) .*", "", text)  # what the two stand for
    commands = re.findall(r"(?:\bpip (?:install|wheel)\b|\$\((?:PIP|LOCKED)\))[^\n&]*", text)

    assert len(commands) > 10
    hashed = re.compile(r"(\$\(LOCKED\)|pip (install|wheel) --require-hashes) .*-r \S+")
    local = re.compile(r".* --no-deps .*(-e \.|/wheels \.|/wheels/\*\.whl|dist \.)")
    stripped = [command.strip() for command in commands]
    assert [c for c in stripped if not hashed.fullmatch(c) and not local.fullmatch(c)] == []


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A package of one file, in the folder where `install` looks."""
    return make_wheel(tmp_path, "tiny")


def make_wheel(folder: Path, name: str, needs: str = "") -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    about = f"{name}-1.0.dist-info"
    requires = f"Requires-Dist: {needs}\n" if needs else ""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "answer = 42\n")
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}"
        archive.writestr(f"{about}/METADATA", metadata)
        kind = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{about}/WHEEL", kind)
        archive.writestr(f"{about}/RECORD", "")
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def install(folder: Path, *lock: str) -> subprocess.CompletedProcess[str]:
    """Install these lines as the Makefile does, from `folder` alone, into a folder of their own."""
    show = ["make", "--silent", "--eval=show: ; @echo $(LOCKED)", "show"]
    options = subprocess.run(show, check=True, cwd=ROOT, capture_output=True, text=True).stdout
    (folder / "lock.txt").write_text("\n".join(lock))
    alone = f"--no-index --find-links {folder} --target {folder}/installed -r {folder}/lock.txt"
    return subprocess.run(
        [sys.executable, *options.split(), *alone.split()],
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_listed_file_is_installed(wheel: Path) -> None:
    """The file whose hash is listed goes in."""
    done = install(wheel.parent, f"tiny==1.0 --hash=sha256:{digest(wheel)}")

    assert done.returncode == 0, done.stderr
    assert (wheel.parent / "installed" / "tiny.py").exists()


def test_another_hash_is_refused(wheel: Path) -> None:
    """One digit of the hash is other: pip installs nothing, and says why."""
    right = digest(wheel)
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")

    refused(install(wheel.parent, f"tiny==1.0 --hash=sha256:{wrong}"), "DO NOT MATCH THE HASHES")


def test_another_file_is_refused(wheel: Path) -> None:
    """One file of the registry was replaced, under the same name and version."""
    listed = digest(wheel)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("more.py", "")

    refused(install(wheel.parent, f"tiny==1.0 --hash=sha256:{listed}"), "DO NOT MATCH THE HASHES")


def test_a_package_without_hash_is_refused(wheel: Path) -> None:
    """A version alone is not enough, in a file where nobody wrote a hash."""
    refused(install(wheel.parent, "tiny==1.0"), "Hashes are required")


def test_a_dependency_that_is_not_listed_is_refused(wheel: Path) -> None:
    """A release that needs something new does not bring it in unseen."""
    other = make_wheel(wheel.parent, "other", needs="tiny")

    refused(
        install(wheel.parent, f"other==1.0 --hash=sha256:{digest(other)}"),
        "requirements must have their versions pinned",
    )


def refused(done: subprocess.CompletedProcess[str], why: str) -> None:
    assert done.returncode != 0
    assert why in done.stderr
    assert not list(Path(done.args[-1]).parent.glob("installed/*.py"))


def names(file: str) -> dict[str, str]:
    """Return the packages of one file of constraints/, with their versions."""
    text = (ROOT / "constraints" / f"{file}.txt").read_text()
    return dict(re.findall(r"(?m)^([a-z0-9.-]+)==(\S+)", text))
