"""The wheel by itself, in a folder without the repository: what `pip install` of it gives."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Final

import pytest

from edgeprof.shared.settings import Settings

ROOT: Final = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what it depends on, and nothing of the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    assert wheel.name.endswith(f"-py3-none-linux_{platform.machine()}.whl")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    # A folder named in a .pth file is searched, and its own .pth files, one of which is our
    # editable install, are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run([python, "-m", "pip", "install", "-qq", "--no-deps", wheel], check=True)
    return folder / "venv" / "bin" / "edgeprof"


def test_wheel_alone_profiles_on_an_emulated_board(installed: Path, tmp_path: Path) -> None:
    """Worker and submit run from it: firmware and models are packed, and the tokens are exact."""
    settings = Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", lock_dir=tmp_path)
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("EDGEPROF_")},
        **settings.as_environment(),
    }
    command = [str(installed), "worker", "--board", "native://?uid=c0ffee"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as worker:
        try:
            submit = ["submit", "-m", "shakespeare-240k", "--platform", "native", "-n", "8"]
            done = subprocess.run(
                [installed, *submit, "--wait-for-board", "--json"],
                cwd=tmp_path,
                env=environment,
                check=True,
                stdout=subprocess.PIPE,
            )
        finally:
            worker.terminate()
            worker.wait()
            subprocess.run([installed, "stop"], cwd=tmp_path, env=environment, check=True)

    (job,) = json.loads(done.stdout)
    check = job["result"]["cases"][0]["output_check"]
    assert (check["matched"], check["of"]) == (8, 8)


def test_installed_package_is_the_wheels(installed: Path) -> None:
    """The test above would prove nothing, were the repository imported."""
    code = "import edgeprof.cli, edgeprof.workers; print(edgeprof.cli.__file__)"
    python = installed.with_name("python")
    place = subprocess.run([python, "-c", code], check=True, stdout=subprocess.PIPE, text=True)

    assert str(ROOT) not in place.stdout
