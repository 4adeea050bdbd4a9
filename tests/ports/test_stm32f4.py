"""Each image of the STM32F4 port boots, and its clock tree is what its chip allows.

QEMU has no clock tree, so there the whole firmware runs, but not the start of the clocks. labwired
has one; there the image starts as on silicon, up to its first frame.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference import Reference
from edgeprof.shared.types.model import KvType, Quantization
from edgeprof.workers.emulated.child import firmware_image
from edgeprof.workers.emulated.protocol_qemu import why_not
from edgeprof.workers.link.device import OpenOptions, open_board
from tests.ports.emulated_ports import SMALL
from tests.ports.stm32f4_tables import Row, rows

pytestmark = pytest.mark.qemu

ROWS = {row.image: row for row in rows()}
#: labwired's name of a chip, and the images whose UART it has.
LABWIRED = {
    "stm32f405": "stm32f405",
    "stm32f405-netduino": "stm32f407",  # the same die: labwired's F405 has no USART6
    "stm32f405-feather": "stm32f407",
    "stm32f407": "stm32f407",
    "stm32f411": "stm32f411ceu6",
    "stm32f411-blackpill": "stm32f411ceu6",
}
USARTS = {1: 0x4001_1000, 2: 0x4000_4400, 3: 0x4000_4800, 6: 0x4001_1400}
RCC_CR, RCC_PLLCFGR, RCC_CFGR = 0x4002_3800, 0x4002_3804, 0x4002_3808
HSE_BYPASS, PLL_READY, PLL_FROM_HSE = 1 << 18, 1 << 25, 1 << 22
DIVIDERS = {0: 1, 4: 2, 5: 4}


@pytest.mark.parametrize("image", [image for image in ROWS if why_not(image) is None])
def test_image_boots_and_computes(options: OpenOptions, tmp_path: Path, image: str) -> None:
    """The platform is the chip's name, and a few tokens are the reference's."""
    model = ModelFile.open(SMALL[Quantization.Q8_0].write(tmp_path / "q8_0.gguf"))
    board = open_board(f"qemu://{image}?uid=0a01", options)
    assert (board.hello.platform, board.hello.emulated) == (ROWS[image].chip, True)
    assert board.hello.clock_hz == ROWS[image].core_hz

    board.load(
        model.path, model.sha256, n_ctx=16, kv_type=KvType.F16, epoch=1,
        on_progress=lambda _done, _total: None, should_stop=lambda: False,
    )  # fmt: skip
    report = board.run(
        (30, 40), 4, epoch=1, on_token=lambda _index, _token: None, should_stop=lambda: False
    )

    board.close()

    assert list(report.tokens) == Reference(model).greedy((30, 40), 4, 16, KvType.F16)


def pll_hz(pllcfgr: int, row: Row) -> int:
    """Return what the PLL makes of the board's crystal."""
    m, n, p = pllcfgr & 0x3F, pllcfgr >> 6 & 0x1FF, 2 * ((pllcfgr >> 16 & 3) + 1)
    assert pllcfgr & PLL_FROM_HSE
    assert 1 <= row.hse_mhz / m <= 2, "the PLL's input, in MHz"
    return row.hse_mhz * 1_000_000 * n // m // p


@pytest.mark.parametrize("image", LABWIRED)
def test_image_starts_as_on_silicon(image: str) -> None:
    """The core runs from the PLL, at the chip's limit; the buses and the UART follow from it; and
    one boot frame is sent.

    Nobody writes an identity here, as on silicon. That labwired has no unique id either, is no
    reason to start again and again.
    """
    labwired = pytest.importorskip("labwired")
    row = ROWS[image]
    sim = labwired.Sim(firmware_image(f"tlep-{image}.elf", image), chip=LABWIRED[image])
    sim.run_for("6ms")

    cr, cfgr = sim.read_u32(RCC_CR), sim.read_u32(RCC_CFGR)
    assert cr & PLL_READY
    assert bool(cr & HSE_BYPASS) == row.bypass
    assert cfgr & 0xF == 0b1010, "the PLL is asked for, and used"
    core_hz = pll_hz(sim.read_u32(RCC_PLLCFGR), row)
    assert core_hz == row.core_hz
    apb_hz = tuple(core_hz // DIVIDERS[cfgr >> shift & 7] for shift in (10, 13))
    assert apb_hz == row.apb_hz
    baud = apb_hz[row.uart in {1, 6}] / sim.read_u32(USARTS[row.uart] + 8)
    assert baud == pytest.approx(115200, rel=0.005)
    assert len([frame for frame in sim.read_uart_bytes().split(b"\0") if frame]) == 1
