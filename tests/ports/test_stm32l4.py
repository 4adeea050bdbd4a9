"""What QEMU shows of an STM32L4's clock tree. Where QEMU has no such board, conftest.py leaves this
file out, and the port."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgeprof.workers.link.device import LinkBoard

pytestmark = pytest.mark.qemu


def test_clock_tree_comes_up(open_port: Callable[..., LinkBoard]) -> None:
    """MSI, held to the clock crystal, through the PLL to 80 MHz; an eighth of it is SysTick's."""
    hello = open_port("stm32l475").hello

    assert hello.clock_hz == 80_000_000
    assert (hello.timer_name, hello.timer_resolution_ns) == ("SysTick", 100)
    assert [region.name for region in hello.regions] == ["sram", "flash", "sram2"]
