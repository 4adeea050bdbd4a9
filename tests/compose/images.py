"""The images of the lab, built from our Dockerfiles on bases from a registry or, failing that, on a
stand-in."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Final

from tests.compose.engine import DOCKER

ROOT: Final = Path(__file__).parents[2]
#: Debian 13 with Python 3.13 and Redis 8: what our images and Redis' need of their bases.
STAND_IN: Final = "tlep-test/stand-in"
_SUITE: Final = "trixie"
_PACKAGES: Final = "ca-certificates,python-is-python3,python3,python3-venv,redis-server"
_CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")


def build(address: str, folder: Path) -> bool:
    """Build the images tlep-test/scheduler and tlep-test/worker; whether they stand on the
    stand-in."""
    docker = [DOCKER, "--host", address]
    bases = _bases()
    in_reach = all(
        subprocess.run([*docker, "pull", "-q", base], check=False, capture_output=True).returncode
        == 0
        for base in bases.values()
    )
    if not in_reach:
        _make_stand_in(docker, folder)
        bases = dict.fromkeys(bases, STAND_IN)
    for name in ("scheduler", "worker"):
        file = ROOT / "docker" / f"{name}.Dockerfile"
        given = [
            f"--build-arg={key}={base}" for key, base in bases.items() if key in file.read_text()
        ]
        # The machine's network: some have no road from a container to the package servers.
        command = [
            *docker,
            "build",
            "--network=host",
            *given,
            f"--file={file}",
            f"--tag=tlep-test/{name}",
        ]
        subprocess.run([*command, str(ROOT)], check=True, env=os.environ | {"DOCKER_BUILDKIT": "1"})
    return not in_reach


def _bases() -> dict[str, str]:
    """Return the base images by the names of their build arguments."""
    text = "\n".join(file.read_text() for file in (ROOT / "docker").glob("*.Dockerfile"))
    return dict(re.findall(r"(?m)^ARG (\w+)=(\S+@sha256:\w+)$", text))


def _make_stand_in(docker: list[str], folder: Path) -> None:
    """Import a bootstrapped Debian; the archive of it is kept for the next run."""
    root, archive = folder / _SUITE, folder / f"{_SUITE}.tar"
    if not archive.exists():
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(root)],
            check=True,
        )
        # pip trusts whom this machine trusts, and Redis' own image has a folder that is its user's.
        (root / _CERTIFICATES.relative_to("/")).write_bytes(_CERTIFICATES.read_bytes())
        subprocess.run(
            ["chroot", root, "install", "-d", "-o", "redis", "-g", "redis", "/data"], check=True
        )
        subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
    changes = [f"--change=ENV PIP_CERT={_CERTIFICATES}", "--change=WORKDIR /data"]
    subprocess.run([*docker, "import", *changes, str(archive), STAND_IN], check=True)
