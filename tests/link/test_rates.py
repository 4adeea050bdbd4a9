"""The rate of a tty: a board is found at the rate where a host that died has left it."""

from __future__ import annotations

import os
import pty
import select
import termios
import threading
import tty

import pytest
import serial

from edgeprof.workers.link import device
from edgeprof.workers.link.device import open_board
from tests.chaos.noisy_line import NoisyLine


@pytest.fixture
def tty_at():
    """`tty_at(baud)` is a tty with a board that understands nothing but that rate."""
    stop = threading.Event()
    threads: list[threading.Thread] = []
    fds: list[int] = []

    def make(baud):
        speed = getattr(termios, f"B{baud}")
        line = NoisyLine(f"tty-{baud}", 0.0)
        board = line.connect()
        far_end, host_end = pty.openpty()
        tty.setraw(host_end)
        fds.extend((far_end, host_end))

        def carry():
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


def test_board_left_at_a_fast_rate(tty_at, options, monkeypatch):
    """It does not hear the first rate, and is found all the same, and stays where it is."""
    monkeypatch.setattr("edgeprof.workers.link.session.HELLO_EVERY_S", 0.05)
    board = open_board(tty_at(device.FAST_BAUDS[0]), options)
    try:
        assert isinstance(board._port, serial.Serial)
        assert board._port.baudrate == device.FAST_BAUDS[0]
        assert board.stats().uptime_us > 0
    finally:
        board.close()
