"""The STM32L4 boards: what of their clock trees and pins QEMU shows, and what a QEMU too old for
them says."""

from __future__ import annotations

import pytest

from edgeprof.shared.errors import HostFault
from edgeprof.workers.emulated import protocol_qemu
from edgeprof.workers.link.device import LinkBoard, OpenOptions, open_board
from tests.ports.conftest import skip_without_machine

pytestmark = pytest.mark.qemu


def test_clock_tree_comes_up(options: OpenOptions) -> None:
    """MSI, held to the clock crystal, through the PLL to 80 MHz; an eighth of it is SysTick's."""
    skip_without_machine("stm32l475")
    board: LinkBoard = open_board("qemu://stm32l475?uid=0a01", options)
    hello = board.hello
    board.close()

    assert hello.clock_hz == 80_000_000
    assert (hello.timer_name, hello.timer_resolution_ns) == ("SysTick", 100)
    assert [region.name for region in hello.regions] == ["sram", "flash", "sram2"]


def test_qemu_without_the_machine_is_named(
    options: OpenOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a silent board, but a fault of the host with what would help."""
    monkeypatch.setattr(protocol_qemu, "_machines_of", lambda _program: frozenset({"virt"}))

    with pytest.raises(HostFault, match=r"no machine b-l475e-iot01a: QEMU 9\.1") as caught:
        open_board("qemu://stm32l475", options)
    assert caught.value.code == "old_qemu"
