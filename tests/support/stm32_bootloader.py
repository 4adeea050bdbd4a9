"""An STM32F405 on a pty, as far as flashing goes: ST's ROM bootloader (AN3155) and its flash.

On Go, QEMU runs the program in that flash; a reset with BOOT0 high ends it.

A pty knows no parity and no reset lines. tests/support/no_modem_lines lets stm32loader do without.
"""

from __future__ import annotations

import os
import pty
import select
import socket
import subprocess
import threading
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.support.retired_ptys import retire

ACK, NACK = b"\x79", b"\x1f"
FLASH_BASE: Final = 0x08000000
FLASH_BYTES: Final = 2**20
_COMMANDS: Final = (0x00, 0x01, 0x02, 0x11, 0x21, 0x31, 0x44)


class Unplugged(Exception):  # noqa: N818 - names a state
    """Raised inside when the line is gone."""


class Stm32Peer:
    """A chip with BOOT0 high. Its flash is `flash`; `calls` lists the commands it has had."""

    def __init__(
        self,
        folder: Path,
        chip_id: int = 0x413,
        unplug_after: int | None = None,
        program: bytes = b"",
        uid: int = 0x57F4,
    ) -> None:
        """unplug_after: the line goes dead with that many blocks written; program: runs first."""
        self.flash = bytearray(program.ljust(FLASH_BYTES, b"\xff"))
        self.calls: list[int] = []
        self._folder = folder
        self._uid = uid
        self._runs = bool(program)
        self._reset_read, self._reset_write = os.pipe()
        self._chip_id = chip_id
        self._left = unplug_after
        self._ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        self.port = os.ttyname(self._theirs)
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Take the chip off its line."""
        retire(self.port)
        os.write(self._stop_write, b".")
        self._thread.join()
        line = (self._ours, self._theirs)
        for end in (*line, self._stop_read, self._stop_write, self._reset_read, self._reset_write):
            os.close(end)

    def reset_to_bootloader(self) -> None:
        """Do what a person does: BOOT0 to 3.3 V, RESET."""
        os.write(self._reset_write, b".")

    # --- the bootloader ---

    def _serve(self) -> None:
        try:
            if self._runs:
                self._run_program()
            while True:
                command = self._read(1)[0]
                if command == 0x7F:
                    self._write(ACK if not self.calls else NACK)  # NACK: it has the rate already
                elif self._read(1)[0] != command ^ 0xFF or command not in _COMMANDS:
                    self._write(NACK)
                else:
                    self.calls.append(command)
                    self._write(ACK)
                    self._carry_out(command)
        except Unplugged:
            pass

    def _carry_out(self, command: int) -> None:
        actions: dict[int, Callable[[], None]] = {
            0x00: lambda: self._write(bytes([len(_COMMANDS), 0x31, *_COMMANDS]) + ACK),
            0x01: lambda: self._write(b"\x31\0\0" + ACK),
            0x02: lambda: self._write(b"\x01" + self._chip_id.to_bytes(2, "big") + ACK),
            0x11: self._read_memory,
            0x21: self._go,
            0x31: self._write_memory,
            0x44: self._erase,
        }
        actions[command]()

    def _read_memory(self) -> None:
        address = self._address()
        n = self._read(2)[0] + 1
        self._write(ACK + self._memory(address, n))

    def _memory(self, address: int, n: int) -> bytes:
        if FLASH_BASE <= address < FLASH_BASE + FLASH_BYTES:
            return bytes(self.flash[address - FLASH_BASE :][:n])
        if address <= 0x1FFF7A22 < address + n:  # the size of the flash, in kilobytes
            at = 0x1FFF7A22 - address
            return (bytes(at) + (FLASH_BYTES // 1024).to_bytes(2, "little")).ljust(n, b"\0")[:n]
        return bytes(n)

    def _write_memory(self) -> None:
        at = self._address() - FLASH_BASE
        data = self._read(self._read(1)[0] + 1)
        self._read(1)
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise Unplugged
        for i, byte in enumerate(data):  # flash bits only go from 1 to 0
            self.flash[at + i] &= byte
        self._write(ACK)

    def _erase(self) -> None:
        count = int.from_bytes(self._read(2), "big")
        self._read(1 if count >= 0xFFF0 else 2 * (count + 1) + 1)
        self.flash[:] = b"\xff" * FLASH_BYTES
        self._write(ACK)

    def _address(self) -> int:
        data = self._read(5)
        check = 0
        for byte in data:
            check ^= byte
        self._write(NACK if check else ACK)
        return int.from_bytes(data[:4], "big")

    # --- the program in the flash ---

    def _go(self) -> None:
        self._address()
        self._run_program()

    def _run_program(self) -> None:
        """Run what is in the flash until the chip is reset to its bootloader."""
        image = self._folder / f"flash-{self._uid}.bin"
        image.write_bytes(self.flash)
        ours, theirs = socket.socketpair()
        words = [
            ("-device", f"loader,addr={0x2001FFE0 + at:#x},data={word:#x},data-len={size}")
            for at, word, size in ((0, 0x49444D51, 4), (4, 2, 4), (8, self._uid, 8), (16, 7, 4))
        ]
        board = subprocess.Popen(
            [
                *("qemu-system-arm", "-M", "netduinoplus2", "-icount", "shift=3"),
                *("-device", f"loader,file={image},addr={FLASH_BASE:#x},force-raw=on"),
                *(part for word in words for part in word),
                *("-display", "none", "-monitor", "none", "-nodefaults"),
                *("-chardev", f"socket,id=uart,fd={theirs.fileno()}", "-serial", "chardev:uart"),
            ],
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        try:
            while True:
                ends: list[Any] = [self._ours, ours, self._stop_read, self._reset_read]
                ready, _, _ = select.select(ends, [], [])
                if self._stop_read in ready:
                    raise Unplugged
                if self._reset_read in ready:
                    os.read(self._reset_read, 1)
                    self.calls.clear()
                    return
                if ours in ready:
                    self._write(ours.recv(4096))
                if self._ours in ready:
                    ours.sendall(os.read(self._ours, 4096))
        finally:
            board.kill()
            board.wait()
            ours.close()

    # --- the line ---

    def _read(self, n: int) -> bytes:
        data = b""
        while len(data) < n:
            ready, _, _ = select.select([self._ours, self._stop_read], [], [])
            if self._stop_read in ready:
                raise Unplugged
            data += os.read(self._ours, n - len(data))
        return data

    def _write(self, data: bytes) -> None:
        os.write(self._ours, data)
