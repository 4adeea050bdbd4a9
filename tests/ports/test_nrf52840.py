"""The nRF52840: its image starts on labwired as on silicon, and its UART's interrupts on QEMU.

Models run on QEMU in tests/ports/test_ports.py.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import labwired
import pytest
from gguf import GGMLQuantizationType as Type

from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference import Reference
from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.types.model import KvType
from edgeprof.workers.emulated.child import firmware_image
from edgeprof.workers.link.device import LinkBoard

pytestmark = pytest.mark.qemu

PROMPT, N_GEN = (30, 40, 41), 4
#: So many weights that a token takes a while.
LARGE = SyntheticLlama(
    n_ctx=16, dim=256, hidden=1024, n_layers=3, n_heads_kv=2, n_vocab=64, matrix_type=Type.TQ2_0
)
FIRMWARE = Path(__file__).parents[2] / "firmware"
#: The ring of 4096 bytes is not filled in a token's time where QEMU waits for a core.
RING_BYTES = 256

CRYSTAL_STARTED = 0x4000_0100
UART_ENABLE, UART_PSEL_TXD, UART_PSEL_RXD = 0x4000_2500, 0x4000_250C, 0x4000_2514
UART_BAUDRATE = 0x4000_2524
TIMER_BITMODE, TIMER_PRESCALER = 0x4000_8508, 0x4000_8510


def test_image_starts_as_on_silicon() -> None:
    """The crystal runs, the UART has its pins and its rate, the timer its width, and one boot frame
    is sent: a DEMCR that faults is no reason to start again and again."""
    image = "nrf52840"
    sim = labwired.Sim(firmware_image(f"tlep-{image}.elf", image), chip="nrf52840")
    sim.run_for("10ms")

    assert sim.read_u32(CRYSTAL_STARTED) == 1
    assert sim.read_u32(UART_ENABLE) == 4
    assert (sim.read_u32(UART_PSEL_TXD), sim.read_u32(UART_PSEL_RXD)) == (6, 8)
    # The divider is of 2**32 / 16 MHz.
    assert sim.read_u32(UART_BAUDRATE) * 16e6 / 2**32 == pytest.approx(115200, rel=0.005)
    assert (sim.read_u32(TIMER_BITMODE), sim.read_u32(TIMER_PRESCALER)) == (3, 0)
    assert len([frame for frame in sim.read_uart_bytes().split(b"\0") if frame]) == 1


@pytest.mark.parametrize(
    ("image", "base"), [("nrf52840", 0), ("nrf52840-feather", 0x26000), ("nrf52840-xiao", 0x27000)]
)
def test_image_begins_where_its_bootloader_looks(image: str, base: int) -> None:
    """The flash content is a vector table: the stack's end in RAM, and a start within the image."""
    content = firmware_image(f"tlep-{image}.bin", image).read_bytes()
    stack, start = (int.from_bytes(content[at : at + 4], "little") for at in (0, 4))

    assert 0x2000_0000 < stack <= 0x2004_0000
    assert base < start < base + len(content)
    assert start & 1, "Thumb"


@pytest.fixture
def with_a_small_ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Emulated boards run firmware whose ring for received bytes is small."""
    image = "nrf52840-qemu"
    folder = tmp_path / "firmware" / image
    ring = f"-DCMAKE_C_FLAGS=-DTLEP_RX_RING={RING_BYTES}"
    for command in (
        ["cmake", "--preset", image, "-B", str(folder), ring],
        ["cmake", "--build", str(folder)],
    ):
        done = subprocess.run(command, cwd=FIRMWARE, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.setenv("EDGEPROF_FIRMWARE_DIR", str(folder.parent))


@pytest.mark.usefixtures("with_a_small_ring")
def test_line_that_says_too_much_costs_bytes_and_not_the_board(
    open_port: Callable[..., LinkBoard], tmp_path: Path
) -> None:
    """While the board computes a token, more comes than its ring holds: what is lost is counted,
    and the run goes on to the reference's tokens."""
    model = ModelFile.open(LARGE.write(tmp_path / "large.gguf"))
    expected = Reference(model).greedy(PROMPT, N_GEN, LARGE.n_ctx, KvType.F16)
    board = open_port("nrf52840")
    board.load(
        model.path, model.sha256, n_ctx=LARGE.n_ctx, kv_type=KvType.F16, epoch=1,
        on_progress=lambda _done, _total: None, should_stop=lambda: False,
    )  # fmt: skip

    def talk(index: int, _token: int) -> None:
        if index == 0:
            board.connection.port.write(bytes(16 * RING_BYTES))

    # On a busy machine QEMU may hand over less in a token's time: then once more.
    while board.stats().link["rx_overruns"] == 0:
        done = board.run(PROMPT, N_GEN, epoch=1, on_token=talk, should_stop=lambda: False)
        assert list(done.tokens) == expected
