"""The nRF52840 on labwired: its own image starts as on silicon, and another one computes.

labwired knows no VCMP, so models run in nrf52840-labwired, the same sources compiled for a
Cortex-M3: its floats are the library's, a hundred instructions each. So one boot serves all
tests, and the models are the smallest there are; the generic tests of test_ports.py would take
minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import labwired
import pytest
from gguf import GGMLQuantizationType as Type

from edgeprof.shared.errors import BoardFault
from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference import Reference
from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.types.model import KvType
from edgeprof.workers.board.protocols import RunReport
from edgeprof.workers.emulated.child import firmware_image
from edgeprof.workers.link.device import LinkBoard, OpenOptions, open_board

pytestmark = [pytest.mark.qemu, pytest.mark.xdist_group("nrf52840")]

PROMPT, N_GEN, N_CTX = (30, 20), 2, 8

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


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LinkBoard]:
    """The emulated board, booted once."""
    folder = tmp_path_factory.mktemp("nrf52840")
    options = OpenOptions(lock_dir=folder / "locks", slot_dir=folder / "slots")
    board = open_board("labwired://nrf52840?uid=0c0d0e&seed=5", options)
    yield board
    board.close()


def load(board: LinkBoard, folder: Path, matrix_type: Type) -> ModelFile:
    shape = SyntheticLlama(
        dim=32, hidden=32, n_layers=1, n_heads=4, n_heads_kv=2, n_vocab=32, n_ctx=16,
        matrix_type=matrix_type,
    )  # fmt: skip
    model = ModelFile.open(shape.write(folder / "tiny.gguf"))
    board.load(
        model.path, model.sha256, n_ctx=N_CTX, kv_type=KvType.F16, epoch=1,
        on_progress=lambda _done, _total: None, should_stop=lambda: False,
    )  # fmt: skip
    return model


def run(board: LinkBoard) -> RunReport:
    return board.run(
        PROMPT, N_GEN, epoch=1, on_token=lambda _index, _token: None, should_stop=lambda: False
    )


@pytest.mark.parametrize("matrix_type", [Type.F32, Type.Q8_0, Type.Q4_0])
def test_tokens_equal_the_reference(board: LinkBoard, tmp_path: Path, matrix_type: Type) -> None:
    """Of floats and of both integer types: the float library gives the FPU's bits."""
    model = load(board, tmp_path, matrix_type)

    assert list(run(board).tokens) == Reference(model).greedy(PROMPT, N_GEN, N_CTX, KvType.F16)


def test_times_repeat_and_counters_add_up(board: LinkBoard, tmp_path: Path) -> None:
    """A time on the instruction clock repeats to the tick; no byte of the upload was lost."""
    load(board, tmp_path, Type.Q8_0)
    first, second = run(board), run(board)
    stats = board.stats()

    assert (first.prefill_us, first.step_us) == (second.prefill_us, second.step_us)
    assert stats.uptime_us == stats.idle_us + stats.busy_us
    assert stats.link["rx_overruns"] == 0
    stack = next(region for region in stats.regions if region.name == "stack")
    assert 500 < stack.high_water_bytes < stack.total_bytes
    assert stats.temperature_celsius is None


def test_board_says_what_it_is(board: LinkBoard) -> None:
    """Emulated, with the uid that it was given, and without an LED that anybody sees."""
    assert (board.hello.uid, board.hello.platform) == ("0c0d0e", "nrf52840")
    assert board.hello.emulated
    assert board.hello.clock_hz == 64_000_000
    with pytest.raises(BoardFault, match="no LED"):
        board.identify(1)


def test_memory_survives_its_test(board: LinkBoard) -> None:
    """As much of the RAM as a moment is enough for; the board itself survives it."""
    tested = board.test_memory(1, budget_s=0.1)

    assert tested is not None
    assert (tested.tested_bytes > 0, tested.bad) == (True, None)


def test_reset_gives_another_boot_id(board: LinkBoard) -> None:
    """RESET restarts the emulated chip, and the uid stays."""
    before = board.hello

    board.reset()

    assert board.hello.boot_id != before.boot_id
    assert board.hello.uid == before.uid
