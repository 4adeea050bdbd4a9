"""The native firmware under AddressSanitizer and UndefinedBehaviorSanitizer, spoken to without the
product's driver."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import subprocess
import termios
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cobs import cobs

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
SANITIZED = FIRMWARE / "build" / "native-asan" / "tlep-native"
REQ, RSP, ERR, EVT, DATA, ACK = range(1, 7)


@pytest.fixture(scope="session")
def sanitized() -> Path:
    """Build once, whichever of the parallel test processes comes first."""
    (FIRMWARE / "build").mkdir(exist_ok=True)
    with (FIRMWARE / "build" / "native-asan.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (
            ["cmake", "--preset", "native-asan"],
            ["cmake", "--build", "--preset", "native-asan"],
        ):
            done = subprocess.run(
                command, cwd=FIRMWARE, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
    return SANITIZED


class Chip:
    """A board process and the least client that the protocol allows."""

    def __init__(self, program: Path, *flags: str) -> None:
        self._socket, theirs = socket.socketpair()
        command = [str(program), "--fd", str(theirs.fileno()), *flags]
        self.process = subprocess.Popen(
            command, pass_fds=(theirs.fileno(),), stderr=subprocess.PIPE,
            env={**os.environ, "ASAN_OPTIONS": "abort_on_error=0"},
        )  # fmt: skip
        theirs.close()
        self._pending = b""
        self._seq = 0

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def frames(self, timeout_s: float = 5.0) -> Iterator[tuple[int, int, dict[int, Any]]]:
        """Yield (kind, seq, message) until nothing comes for `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while True:
            while b"\0" in self._pending:
                encoded, _, self._pending = self._pending.partition(b"\0")
                if encoded:
                    body = cobs.decode(encoded)
                    assert zlib.crc32(body[:-4]) == int.from_bytes(body[-4:], "little")
                    yield body[0], int.from_bytes(body[1:3], "little"), cbor2.loads(body[3:-4])
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._socket], [], [], max(left, 0))
            data = self._socket.recv(65536) if ready else b""
            if not data:
                return
            self._pending += data

    def request(
        self, message: dict[int, Any], seq: int | None = None
    ) -> tuple[int, dict[int, Any]]:
        """Send a REQ; returns (RSP or ERR, its message)."""
        if seq is None:
            self._seq += 1
            seq = self._seq
        body = bytes([REQ]) + seq.to_bytes(2, "little") + cbor2.dumps(message)
        body += zlib.crc32(body).to_bytes(4, "little")
        self.send(b"\0" + cobs.encode(body) + b"\0")
        for kind, got, reply in self.frames():
            if kind in {RSP, ERR} and got == seq:
                return kind, reply
        pytest.fail(f"no reply to {message}: {self.complaint()}")

    def wait_until_quiet(self) -> None:
        """Read nothing until nothing more comes in: the board is done, or stuck."""
        waiting, same = -1, 0
        while same < 20:
            now = int.from_bytes(fcntl.ioctl(self._socket, termios.FIONREAD, bytes(4)), "little")
            same = same + 1 if now == waiting > 0 else 0
            waiting = now
            time.sleep(0.02)

    def complaint(self) -> str:
        """What a sanitizer said, if it stopped the board."""
        if self.process.poll() is None:
            return "the board is alive"
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def alive(self) -> None:
        """Fail with the sanitizer's report unless the board still answers."""
        assert self.request({0: 2, 1: 42})[1][1] == 42, self.complaint()

    def close(self) -> None:
        self._socket.close()
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def chip(sanitized: Path) -> Iterator[Callable[..., Chip]]:
    """`chip("--ram", "65536")` starts a sanitized board."""
    chips: list[Chip] = []

    def start(*flags: str) -> Chip:
        chips.append(Chip(sanitized, *flags))
        return chips[-1]

    yield start
    for each in chips:
        each.close()
