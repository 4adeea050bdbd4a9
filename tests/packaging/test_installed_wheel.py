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
from tests.support.esp32_bootloader import Esp, read_flash

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


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A user's who has set nothing, but for the folders."""
    settings = Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", lock_dir=tmp_path)
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith("EDGEPROF_")},
        **settings.as_environment(),
    }


def test_wheel_alone_profiles_on_an_emulated_board(
    installed: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Worker and submit run from it: firmware and models are packed, and the tokens are exact."""
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


@pytest.mark.qemu
def test_wheel_alone_flashes_an_esp32c3(
    installed: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """It finds out the chip, and the image that is packed is then what is in the flash."""
    chips = Esp()
    try:
        port = chips("esp32c3")
        command = [str(installed), "flash", port, "--yes"]
        with subprocess.Popen(
            command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
        ) as flash:
            assert flash.stderr is not None
            said = [next(flash.stderr, ""), next(flash.stderr, "")]
            flash.terminate()  # the mock has no firmware whose HELLO is worth waiting for
        assert said[0].startswith("ESP32-C3, revision 3 on: tlep-esp32c3.bin")
        assert said[1] == "written and verified\n"
        (image,) = installed.parents[1].rglob("tlep-esp32c3.bin")
        assert read_flash(port, 0, image.stat().st_size) == image.read_bytes()
    finally:
        chips.pull_all()


def test_installed_package_is_the_wheels(installed: Path) -> None:
    """The test above would prove nothing, were the repository imported."""
    code = "import edgeprof.cli, edgeprof.workers; print(edgeprof.cli.__file__)"
    python = installed.with_name("python")
    place = subprocess.run([python, "-c", code], check=True, stdout=subprocess.PIPE, text=True)

    assert str(ROOT) not in place.stdout
