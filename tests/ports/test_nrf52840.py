"""The nRF52840's own image starts on labwired as on silicon.

It computes no model there, because labwired knows no VCMP: the other tests of this port run
nrf52840-labwired, the same sources compiled for a Cortex-M3.
"""

from __future__ import annotations

import labwired
import pytest

from edgeprof.workers.emulated.child import firmware_image

pytestmark = pytest.mark.qemu

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
