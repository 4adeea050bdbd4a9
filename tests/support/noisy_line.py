"""A line to a real board that flips, loses, repeats and reorders bytes: seeded, and counted."""

from __future__ import annotations

import math
import random
import socket
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

import serial

from edgeprof.workers.emulated.child import firmware_image

KINDS: Final = ("flip", "drop", "repeat", "swap", "late")
_SPAN_BYTES: Final = 32
#: Where `noisy://NAME` finds its line.
LINES: Final[dict[str, NoisyLine]] = {}


class Noise:
    """What one direction of a line does to the bytes on it.

    Gaps between hits are counted in bytes, so the noise is the same however reads and writes fall.
    """

    def __init__(self, seed: str, rate: float) -> None:
        """rate: hits a byte."""
        self._random = random.Random(seed)
        self._rate = rate
        self._gap = self._next_gap()
        self._held = b""
        self._zeros = 0
        self._damaged = -1
        self.damaged_frames = 0

    @property
    def frames(self) -> int:
        """Whole frames sent into this direction: each has a zero before and after."""
        return self._zeros // 2

    def spoil(self, data: bytes) -> bytes:
        """Take what was sent, and return what arrives now."""
        held, self._held = self._held, b""
        out, at = bytearray(), 0
        while self._gap < len(data) - at:
            hit = at + self._gap
            out += data[at:hit]
            kind = self._random.choice(KINDS)
            span = self._random.randint(1, _SPAN_BYTES)
            self._note(data[:hit])
            self._gap = self._next_gap()
            at = hit + span if kind != "swap" else hit + 2 * span
            out += self._hit(kind, data[hit : hit + span], data[hit + span : at])
        self._gap -= max(len(data) - at, 0)
        self._zeros += data.count(0)
        out += data[at:]
        if self._held:  # all of this piece comes late: after the next one
            self._held = bytes(out)
            return held
        return bytes(out) + held

    def _hit(self, kind: str, chunk: bytes, after: bytes) -> bytes:
        if kind == "flip":
            return bytes([chunk[0] ^ 1 << self._random.randrange(8)]) + chunk[1:]
        if kind == "repeat":
            return chunk + chunk
        if kind == "swap":
            return after + chunk
        if kind == "late":
            self._held = b"late"
            return chunk
        return b""

    def _note(self, before: bytes) -> None:
        frame = (self._zeros + before.count(0)) // 2
        if frame != self._damaged:
            self._damaged = frame
            self.damaged_frames += 1

    def _next_gap(self) -> int:
        if self._rate == 0:
            return 1 << 62
        return int(math.log(1 - self._random.random()) / math.log(1 - self._rate))


class NoisyLine:
    """A native board that lives as long as this does; opened as `url`, again and again."""

    def __init__(self, name: str, rate: float, options: Sequence[str] = ()) -> None:
        self.url = f"noisy://{name}"
        self._name = name
        self._ours, theirs = socket.socketpair()
        firmware = str(firmware_image("tlep-native", "native"))
        self._process = subprocess.Popen(
            [firmware, "--fd", str(theirs.fileno()), *options],
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        self.to_board = Noise(f"{name} to board", rate)
        self.to_host = Noise(f"{name} to host", rate)

    def connect(self) -> socket.socket:
        """Return a descriptor of its own: closing it is no news to the board."""
        return self._ours.dup()

    def __enter__(self) -> Self:
        if __package__ not in serial.protocol_handler_packages:
            serial.protocol_handler_packages.append(__package__)  # protocol_noisy.py
        LINES[self._name] = self
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        del LINES[self._name]
        self._ours.close()
        self._process.kill()
        self._process.wait()
