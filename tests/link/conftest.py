"""Native boards for the link tests: the real firmware, directly or behind a line that can be
bad."""

from __future__ import annotations

import random
import select
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeprof.shared.models import ModelFile, quantized
from edgeprof.shared.models.catalogue import resolve
from edgeprof.shared.types.model import Quantization
from edgeprof.workers.emulated.child import firmware_image
from edgeprof.workers.link.device import LinkBoard, OpenOptions, open_board
from edgeprof.workers.link.framing import Decoder, Frame, encode


@pytest.fixture
def options(tmp_path: Path) -> OpenOptions:
    return OpenOptions(lock_dir=tmp_path / "locks", slot_dir=tmp_path / "slots", open_timeout_s=5.0)


@pytest.fixture
def open_native(options: OpenOptions) -> Iterator[Callable[..., LinkBoard]]:
    """`open_native("uid=01&fault=1:3")` opens a native board and closes it after the test."""
    boards: list[LinkBoard] = []

    def open_it(query: str = "uid=01") -> LinkBoard:
        boards.append(open_board(f"native://?{query}", options))
        return boards[-1]

    yield open_it
    for board in boards:
        board.close()


@pytest.fixture(scope="session")
def model() -> ModelFile:
    """The small reference model, F32."""
    return resolve("shakespeare-240k")


@pytest.fixture(scope="session")
def small_model(model: ModelFile, tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    """Its Q4_0 form: 150 KB, quick to upload."""
    return quantized(model, Quantization.Q4_0, tmp_path_factory.mktemp("models"))


class Line:
    """A TCP line to a native board that loses, damages, repeats and delays bytes on purpose."""

    def __init__(self, seed: int = 1) -> None:
        ours, theirs = socket.socketpair()
        command = [str(firmware_image("tlep-native", "native")), "--fd", str(theirs.fileno())]
        self.process = subprocess.Popen(command, pass_fds=(theirs.fileno(),))
        theirs.close()
        self._board = ours
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"
        self._random = random.Random(seed)
        self.drop = self.flip = self.repeat = 0.0  # chances per chunk of 64 bytes
        #: Says of a frame for the board that it does not arrive.
        self.swallow: Callable[[Frame], bool] | None = None
        #: What becomes of a frame of the board on its way to the host.
        self.rewrite: Callable[[Frame], Frame] | None = None
        self._decoder = Decoder()
        self._from_board = Decoder()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _spoil(self, data: bytes) -> bytes:
        out = bytearray()
        for at in range(0, len(data), 64):
            chunk = bytearray(data[at : at + 64])
            if self._random.random() < self.drop:
                continue
            if self._random.random() < self.flip:
                chunk[self._random.randrange(len(chunk))] ^= 1 << self._random.randrange(8)
            out += chunk
            if self._random.random() < self.repeat:
                out += chunk
        return bytes(out)

    def _pass(self, data: bytes, *, for_board: bool) -> bytes:
        if for_board and self.swallow is not None:
            frames = [f for f in self._decoder.feed(data) if not self.swallow(f)]
            data = b"".join(encode(f.kind, f.seq, f.payload) for f in frames)
        if not for_board and self.rewrite is not None:
            frames = [self.rewrite(f) for f in self._from_board.feed(data)]
            data = b"".join(encode(f.kind, f.seq, f.payload) for f in frames)
        return self._spoil(data)

    def _serve(self) -> None:
        self._listener.settimeout(0.05)
        while not self._stop.is_set():
            try:
                host, _ = self._listener.accept()
            except TimeoutError:
                continue
            with host:
                self._carry(host)

    def _carry(self, host: socket.socket) -> None:
        while not self._stop.is_set():
            ready, _, _ = select.select([host, self._board], [], [], 0.05)
            for source in ready:
                try:
                    data = source.recv(4096)
                    if not data:
                        return
                    target = self._board if source is host else host
                    target.sendall(self._pass(data, for_board=source is host))
                except OSError:
                    return

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._listener.close()
        self._board.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()
