"""The rate of a tty: a board is found at the rate where a host that died has left it."""

from __future__ import annotations

import os
import pty
import select
import termios
import threading
import tty
from collections.abc import Callable, Iterator

import pytest
import serial

from edgeprof.shared.errors import LinkFault
from edgeprof.workers.link import baud, connection
from edgeprof.workers.link.device import OpenOptions, open_board
from tests.support.noisy_line import NoisyLine


@pytest.fixture
def tty_at() -> Iterator[Callable[[int], str]]:
    """`tty_at(baud)` is a tty with a board that understands nothing but that rate."""
    stop = threading.Event()
    threads: list[threading.Thread] = []
    fds: list[int] = []

    def make(baud: int) -> str:
        speed = getattr(termios, f"B{baud}")
        line = NoisyLine(f"tty-{baud}", 0.0)
        board = line.connect()
        far_end, host_end = pty.openpty()
        tty.setraw(host_end)
        fds.extend((far_end, host_end))

        def carry() -> None:
            with line, board:
                while not stop.is_set():
                    for source in select.select([far_end, board.fileno()], [], [], 0.05)[0]:
                        data = os.read(source, 4096)
                        if termios.tcgetattr(host_end)[5] != speed:
                            data = bytes(byte ^ 0x55 for byte in data)
                        if source == far_end:
                            board.sendall(data)
                        else:
                            os.write(far_end, data)

        threads.append(threading.Thread(target=carry))
        threads[-1].start()
        return os.ttyname(host_end)

    yield make
    stop.set()
    for thread in threads:
        thread.join()
    for fd in fds:
        os.close(fd)


def test_board_left_at_a_fast_rate(
    tty_at: Callable[[int], str], options: OpenOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board that was left at a fast rate is found, and stays at it."""
    monkeypatch.setattr("edgeprof.workers.link.client.HELLO_EVERY_S", 0.05)
    board = open_board(tty_at(baud.FAST_BAUDS[0]), options)
    try:
        assert isinstance(board.connection.port, serial.Serial)
        assert board.connection.port.baudrate == baud.FAST_BAUDS[0]
        assert board.stats().uptime_us > 0
    finally:
        board.close()


def test_slow_line_is_given_time(tty_at: Callable[[int], str], options: OpenOptions) -> None:
    """Below 115200 baud a reply may take as long as its longest frame does on the wire."""
    board = open_board(tty_at(baud.FAST_BAUDS[0]), options)
    try:
        port = board.connection.port
        assert isinstance(port, serial.Serial)
        assert board.connection.client._wire_s == 0
        port.baudrate = 9600
        assert 1 < board.connection.client._wire_s < 1.2
    finally:
        board.close()


def test_tty_pulled_while_its_rate_is_set(
    options: OpenOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tty pulled while its rate is set is a link fault like any other unplugging."""
    far_end, host_end = pty.openpty()
    tty.setraw(host_end)
    monkeypatch.setattr(connection, "LinkClient", lambda *_: _PullOnHello((far_end, host_end)))

    with pytest.raises(LinkFault) as caught:
        open_board(os.ttyname(host_end), options)
    assert caught.value.code == "port_gone"


class _PullOnHello:
    """A session whose board is pulled right before the first HELLO."""

    def __init__(self, ends: tuple[int, ...]) -> None:
        self._ends = ends

    def hello(self, _timeout_s: float, before_try: Callable[[int], None]) -> None:
        for end in self._ends:
            os.close(end)
        before_try(8)
