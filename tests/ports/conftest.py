"""Bare-metal firmware on emulated chips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeprof.shared.models import ModelFile, quantized
from edgeprof.shared.models.catalogue import resolve
from edgeprof.shared.types.model import Quantization
from edgeprof.workers.link.device import LinkBoard, OpenOptions, open_board

PORTS = ("stm32f405", "mps2-an500", "riscv32-virt")


@pytest.fixture(params=PORTS)
def port(request: pytest.FixtureRequest) -> str:
    """Each of the bare-metal ports."""
    return str(request.param)


@pytest.fixture
def options(tmp_path: Path) -> OpenOptions:
    return OpenOptions(lock_dir=tmp_path / "locks", slot_dir=tmp_path / "slots")


@pytest.fixture
def open_qemu(options: OpenOptions) -> Iterator[Callable[..., LinkBoard]]:
    """`open_qemu("stm32f405", "uid=0b")` boots a board and closes it after the test."""
    boards: list[LinkBoard] = []

    def open_it(port: str, query: str = "uid=0a01") -> LinkBoard:
        boards.append(open_board(f"qemu://{port}?{query}", options))
        return boards[-1]

    yield open_it
    for board in boards:
        board.close()


@pytest.fixture(scope="session")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Quantization], ModelFile]:
    """`model_of("shakespeare-240k", Quantization.Q8_0)`."""
    folder = tmp_path_factory.mktemp("models")
    return lambda name, quantization: quantized(resolve(name), quantization, folder)
