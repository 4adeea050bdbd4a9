"""Bare-metal firmware on emulated chips."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeprof.shared.models import ModelFile, quantized
from edgeprof.shared.models.catalogue import resolve
from edgeprof.shared.types.model import Quantization
from edgeprof.workers.emulated.child import firmware_dir
from edgeprof.workers.emulated.protocol_qemu import why_not
from edgeprof.workers.link.device import LinkBoard, OpenOptions, open_board
from tests.ports.emulated_ports import PORTS, SMALL, needs_rp2040js


def _has_machine(port: str) -> bool:
    """Tell whether the installed QEMU is new enough; `make` says for which board it is not."""
    return PORTS[port].scheme != "qemu" or why_not(port) is None


collect_ignore = [] if _has_machine("stm32l475") else ["test_stm32l4.py"]


@pytest.fixture(
    params=[
        pytest.param(port, marks=needs_rp2040js) if PORTS[port].scheme == "rp2040js" else port
        for port in filter(_has_machine, PORTS)
    ]
)
def port(request: pytest.FixtureRequest) -> str:
    """Each of the bare-metal ports that can be emulated here."""
    return str(request.param)


@pytest.fixture
def options(tmp_path: Path) -> OpenOptions:
    return OpenOptions(lock_dir=tmp_path / "locks", slot_dir=tmp_path / "slots")


@pytest.fixture
def open_port(options: OpenOptions) -> Iterator[Callable[..., LinkBoard]]:
    """`open_port("stm32f405", "uid=0b")` boots a board and closes it after the test.

    A port that this system has no compiler for was not built, and its test is skipped.
    """
    boards: list[LinkBoard] = []

    def open_it(port: str, query: str = "uid=0a01") -> LinkBoard:
        compiler = PORTS[port].compiler
        built = (firmware_dir() / port / f"tlep-{port}.elf").is_file()
        if compiler is not None and shutil.which(compiler) is None and not built:
            pytest.skip(f"{port} was not built: there is no {compiler}")
        boards.append(open_board(f"{PORTS[port].scheme}://{port}?{query}", options))
        return boards[-1]

    yield open_it
    for board in boards:
        board.close()


@pytest.fixture(scope="session")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Quantization], ModelFile]:
    """`model_of("stm32f405", Quantization.Q8_0)`: one that its emulator is quick enough for."""
    folder = tmp_path_factory.mktemp("models")

    def model(port: str, quantization: Quantization) -> ModelFile:
        if quantization in PORTS[port].small:
            return ModelFile.open(SMALL[quantization].write(folder / f"{quantization}.gguf"))
        name = "shakespeare-1m" if quantization is Quantization.TQ2_0 else "shakespeare-240k"
        return quantized(resolve(name), quantization, folder)

    return model
