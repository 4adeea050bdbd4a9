"""The RP2350's image starts on labwired's model of the chip, and answers over its UART.

labwired has the clocks, the resets, the PLL, TIMER0 and UART0; it has no interrupt for received
bytes, so the test raises it. It knows no VCMPE, which our parser of models needs: no model loads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from edgeprof.workers.emulated.child import firmware_image
from edgeprof.workers.link import framing
from edgeprof.workers.link.framing import Frame, Kind
from edgeprof.workers.link.messages.board import HelloReply, HelloRequest
from edgeprof.workers.link.messages.codec import Request, decode, encode
from edgeprof.workers.link.messages.operations import PROTOCOL
from edgeprof.workers.link.messages.payload import dump, load

labwired = pytest.importorskip("labwired")
pytestmark = pytest.mark.qemu

IDENTITY = 0x20081FE0
NVIC_ISPR1, IRQ_UART0_OF_32 = 0xE000E204, 1 << (33 - 32)
#: The receiver's FIFO holds 32.
BURST_BYTES = 16


class Board:
    """The image on labwired's RP2350, spoken to frame by frame."""

    def __init__(self) -> None:
        elf = firmware_image("tlep-rp2350.elf", "rp2350")
        self.sim: Any = labwired.Sim(str(elf), chip="rp2350")
        for index, word in enumerate((0x49444D51, 2, 0x010A, 0, 5)):
            self.sim.write_u32(IDENTITY + 4 * index, word)
        self._decoder = framing.Decoder()

    def frames(self, time: str) -> list[Frame]:
        """Let time pass, and return what the board has said until then."""
        self.sim.run_for(time)
        return list(self._decoder.feed(self.sim.read_uart_bytes()))

    def send(self, request: Request[Any], seq: int) -> None:
        sent = framing.encode(Kind.REQ, seq, dump(encode(request)))
        for at in range(0, len(sent), BURST_BYTES):
            self.sim.send_bytes(sent[at : at + BURST_BYTES])
            self.sim.write_u32(NVIC_ISPR1, IRQ_UART0_OF_32)
            self.sim.run_for("50us")


@pytest.fixture
def board() -> Iterator[Board]:
    board = Board()
    yield board
    board.sim.close()


def test_start_code_ends_with_a_boot_event(board: Board) -> None:
    """Crystal, PLL, resets and pins: no wait hangs, and what it all leads to comes out of the
    UART."""
    (event,) = board.frames("5ms")

    assert event.kind is Kind.EVT
    pll = {0x40050008: 125, 0x4005000C: 5 << 16 | 2 << 12}
    assert {at: board.sim.read_u32(at) for at in pll} == pll
    assert board.sim.read_u32(0x40010044) == 1 << 1  # CLK_SYS_SELECTED: the PLL
    assert board.sim.read_u32(0x400B0038) == 1  # TIMER0_SOURCE: the system clock


def test_hello_is_answered(board: Board) -> None:
    """A request goes through interrupt, ring and protocol, and the answer comes back."""
    board.frames("5ms")
    board.send(HelloRequest(*PROTOCOL), seq=1)
    (answer,) = board.frames("5ms")
    payload = load(answer.payload)
    assert payload is not None
    hello = decode(HelloReply, payload)

    assert (hello.uid.hex(), hello.platform, hello.emulated) == ("0a01", "rp2350", True)
    assert hello.clock_hz == 150_000_000
