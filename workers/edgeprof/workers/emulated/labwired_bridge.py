"""Runs firmware on a chip that labwired emulates, its UART on an inherited socket.

Started as a process of its own by labwired:// (protocol_labwired.py), and over when the other end
of the socket is.

Time there is virtual: it passes only while instructions are computed, a fixed time each, so equal
work takes equal times whatever this host does. Nothing is computed while the firmware sleeps. It
says so in a word beside its identity (ports/common/bridge.h), and at the end of the sleep it is
told how long that was. A board's clock is therefore late while it computes, and right again when
it has slept.
"""

from __future__ import annotations

import argparse
import contextlib
import select
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import labwired

from edgeprof.workers.emulated.identity import (
    ASLEEP,
    AWAKE,
    BOOTS,
    SLEPT_MS,
    STATE,
    identity,
)

#: Some thousand instructions: between two looks at the socket and at the firmware's state.
QUANTUM = "20us"
#: The longest sleep; the firmware may have something to do.
SLEEP_MAX_S = 0.1
WORD_BYTES = 4
#: A port's firmware is smaller.
MIRRORED_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Board:
    """What is emulated, and where things are in its memory."""

    chip: str
    elf: Path
    identity_address: int
    uid: bytes
    seed: int
    slot: bytes
    slot_address: int
    #: A register and the bit by which the firmware asks for its restart, where labwired does
    #: nothing about it.
    reset: tuple[int, int] | None
    #: Where the chip shows the memory of its code once more, as data, and where it begins as code.
    #: labwired keeps the two apart.
    mirror: tuple[int, int] | None


class Bridge:
    """One board, from power-on to the end of its socket."""

    def __init__(self, board: Board, port: socket.socket) -> None:
        self._board = board
        self._port = port
        self._boots = 0
        self._power_on()

    def _power_on(self) -> None:
        board = self._board
        self._sim = labwired.Sim(board.elf, chip=board.chip)
        self._started_s = time.monotonic()
        self._slept_ms = 0
        self._write(board.identity_address, identity(board.uid, board.seed))
        self._write_word(BOOTS, self._boots)
        self._write(board.slot_address, board.slot)
        if board.mirror is not None:
            code_address, data_address = board.mirror
            code = bytes(self._sim.read_memory(code_address, MIRRORED_BYTES))
            self._write(data_address, code.rstrip(b"\0"))
        self._boots += 1

    def serve(self) -> None:
        """Carry bytes both ways and let time pass, until the other end is closed."""
        while (heard := self._hear()) is not None:
            self._sim.run_for(QUANTUM)
            self._tell()
            if self._wants_restart():
                self._power_on()
            elif self._word(STATE) == ASLEEP:
                # What was heard may have come after the firmware's last look at its receiver.
                self._wake_up() if heard else self._sleep()

    def _hear(self) -> int | None:
        """Hand over what has come; returns how many bytes, None when no more will come."""
        try:
            data = self._port.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        self._sim.send_bytes(data)
        return len(data) or None

    def _tell(self) -> None:
        said = self._sim.read_uart_bytes()
        if said:
            self._port.sendall(said)

    def _sleep(self) -> None:
        select.select([self._port], [], [], SLEEP_MAX_S)
        self._wake_up()

    def _wake_up(self) -> None:
        """Move the firmware's clock on to now, and let it compute."""
        up_ms = (time.monotonic() - self._started_s - self._sim.time) * 1000
        self._slept_ms = max(self._slept_ms, int(up_ms))
        self._write_word(SLEPT_MS, self._slept_ms)
        self._write_word(STATE, AWAKE)

    def _wants_restart(self) -> bool:
        if self._board.reset is None:
            return False
        address, mask = self._board.reset
        return bool(self._sim.read_u32(address) & mask)

    def _word(self, offset: int) -> int:
        word: int = self._sim.read_u32(self._board.identity_address + offset)
        return word

    def _write_word(self, offset: int, value: int) -> None:
        self._sim.write_u32(self._board.identity_address + offset, value)

    def _write(self, address: int, data: bytes) -> None:
        padded = data + bytes(-len(data) % WORD_BYTES)
        for index, (word,) in enumerate(struct.iter_unpack("<I", padded)):
            self._sim.write_u32(address + index * WORD_BYTES, word)


def main(arguments: Sequence[str] | None = None) -> None:
    """Emulate the board that the arguments describe."""
    parser = argparse.ArgumentParser(description=main.__doc__)

    def number(text: str) -> int:
        return int(text, 0)

    parser.add_argument("--fd", type=int, required=True, help="the socket that is its UART")
    parser.add_argument("--chip", required=True, help="labwired's name of the chip")
    parser.add_argument("--elf", type=Path, required=True)
    parser.add_argument("--identity", type=number, required=True, help="address of the identity")
    parser.add_argument("--uid", type=bytes.fromhex, required=True)
    parser.add_argument("--seed", type=number, required=True)
    parser.add_argument("--slot", type=Path, help="model slot image")
    parser.add_argument("--slot-address", type=number, default=0)
    parser.add_argument("--reset", type=number, nargs=2, help="register and mask")
    parser.add_argument("--mirror", type=number, nargs=2, help="address of code, and as data")
    options = parser.parse_args(arguments)
    board = Board(
        chip=options.chip,
        elf=options.elf,
        identity_address=options.identity,
        uid=options.uid,
        seed=options.seed,
        slot=options.slot.read_bytes() if options.slot else b"",
        slot_address=options.slot_address,
        reset=None if options.reset is None else tuple(options.reset),
        mirror=None if options.mirror is None else tuple(options.mirror),
    )
    with socket.socket(fileno=options.fd) as port, contextlib.suppress(ConnectionError):
        Bridge(board, port).serve()


if __name__ == "__main__":
    main()
