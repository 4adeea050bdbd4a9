"""The ESP32-C3's image: what its mask ROM wants to find in flash, and the start on silicon as far
as labwired has the registers for it: all but the PLL's, which therefore runs already."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import labwired
import pytest
from gguf import GGMLQuantizationType as Type

from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.types.model import KvType
from edgeprof.workers.emulated.child import firmware_image
from edgeprof.workers.link import framing
from edgeprof.workers.link.device import OpenOptions, open_board

pytestmark = pytest.mark.qemu

CODE, DATA = 0x42000000, 0x3C000000
DIRECT_BOOT = 0xAEDB041D
SYSCLK_CONF, CPU_PER_CONF = 0x600C0058, 0x600C0008
PLL = 1 << 10
RTC_WATCHDOG, SUPER_WATCHDOG, WATCHDOGS = 0x60008090, 0x600080AC, (0x6001F048, 0x60020048)
CLKDIV, CLK_CONF = 0x60000014, 0x60000078
UART0_LINE, USB_LINE, LINES_ON = 0x600C2054, 0x600C2068, 0x600C2104


@pytest.fixture
def image(tmp_path: Path) -> bytes:
    """What is written at offset 0 of the flash."""
    flat = tmp_path / "flash.bin"
    elf = firmware_image("tlep-esp32c3.elf", "esp32c3")
    subprocess.run(["riscv64-unknown-elf-objcopy", "-O", "binary", elf, flat], check=True)
    return flat.read_bytes()


def test_image_is_what_direct_boot_looks_for(image: bytes) -> None:
    """The magic twice at offset 0, code behind it, and constants where the data window has them."""
    assert image[:8] == DIRECT_BOOT.to_bytes(4, "little") * 2
    sim = labwired.Sim(firmware_image("tlep-esp32c3.elf", "esp32c3"), chip="esp32c3")
    assert bytes(sim.read_memory(CODE, 4096)) == image[:4096]
    assert sim.symbol("_start") == CODE + 8
    name = sim.symbol("esp32c3_bauds") - DATA
    assert image[name : name + 4] == (115200).to_bytes(4, "little")


def test_start_on_silicon(image: bytes) -> None:
    """Without an identity: watchdogs off, 160 MHz, UART0 at 115200 from the crystal, and the BOOT
    frame on it."""
    sim: Any = labwired.Sim(firmware_image("tlep-esp32c3.elf", "esp32c3"), chip="esp32c3")
    for offset in range(0, len(image) & ~3, 4):
        sim.write_u32(DATA + offset, int.from_bytes(image[offset : offset + 4], "little"))
    sim.write_u32(SYSCLK_CONF, PLL)
    sim.run_for("10ms")

    (frame,) = framing.Decoder().feed(sim.read_uart_bytes())
    assert frame.kind is framing.Kind.EVT
    assert sim.read_u32(SYSCLK_CONF) == PLL
    assert sim.read_u32(CPU_PER_CONF) & 3 == 1
    assert sim.read_u32(RTC_WATCHDOG) == 0
    assert sim.read_u32(SUPER_WATCHDOG) >> 31 == 1
    assert all(sim.read_u32(watchdog) >> 31 == 0 for watchdog in WATCHDOGS)
    divider = sim.read_u32(CLKDIV)
    assert sim.read_u32(CLK_CONF) >> 20 & 3 == 3
    assert 40e6 / ((divider & 0xFFF) + (divider >> 20) / 16) == pytest.approx(115200, rel=1e-3)
    line = sim.read_u32(UART0_LINE)
    assert sim.read_u32(USB_LINE) == line
    assert sim.read_u32(LINES_ON) == 1 << line


def test_small_model_goes_over_the_uart(options: OpenOptions, tmp_path: Path) -> None:
    """A model whose upload takes less than 3 s is not put into flash; no byte of it is lost."""
    shape = SyntheticLlama(
        dim=32, hidden=32, n_layers=1, n_heads=4, n_heads_kv=2, matrix_type=Type.Q4_0
    )
    model = ModelFile.open(shape.write(tmp_path / "tiny.gguf"))
    board = open_board("labwired://esp32c3?uid=05", options)
    try:
        result, _ = board.load(
            model.path, model.sha256, n_ctx=8, kv_type=KvType.F16, epoch=1,
            on_progress=lambda _done, _total: None, should_stop=lambda: False,
        )  # fmt: skip
        assert result.how == "ram"
        assert board.stats().link["rx_overruns"] == 0
    finally:
        board.close()
