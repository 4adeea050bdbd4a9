"""The path a real board takes: a tty under /dev, with exclusive open and a negotiated rate."""

from __future__ import annotations

import os
import pty
import subprocess
import tty
from collections.abc import Iterator
from typing import cast

import pytest
import serial

from edgeprof.shared.errors import HostFault
from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference import Reference
from edgeprof.shared.types.model import KvType
from edgeprof.workers.emulated.child import ChildSerial, firmware_image
from edgeprof.workers.link.device import OpenOptions, open_board


@pytest.fixture
def device() -> Iterator[str]:
    """A native board on one end of a pty; the path of the other end."""
    board_end, host_end = pty.openpty()
    tty.setraw(host_end)
    path = os.ttyname(host_end)
    command = [str(firmware_image("tlep-native", "native")), "--fd", str(board_end)]
    with subprocess.Popen([*command, "--line-rate", "115200"], pass_fds=(board_end,)) as process:
        os.close(board_end)
        yield path  # host_end stays open: a pty whose last user leaves would hang up on the board
        process.kill()
    os.close(host_end)


def test_rate_is_negotiated(device: str, options: OpenOptions, small_model: ModelFile) -> None:
    """Host and board go to the fastest rate that both have, and the work is done at it."""
    board = open_board(device, options)
    try:
        board.load(
            small_model.path, small_model.sha256, n_ctx=64, kv_type=KvType.F16, epoch=1,
            on_progress=lambda _done, _total: None, should_stop=lambda: False,
        )  # fmt: skip
        report = board.run(
            (300, 301), 8, epoch=1, on_token=lambda _i, _t: None, should_stop=lambda: False
        )

        assert board.connection.port.baudrate == 921600
        assert list(report.tokens) == Reference(small_model).greedy((300, 301), 8, 64, KvType.F16)
    finally:
        board.close()


def test_tty_held_by_another_program(device: str, options: OpenOptions) -> None:
    """A serial monitor left open is named as the trouble, not a timeout."""
    with serial.Serial(device, exclusive=True), pytest.raises(HostFault) as caught:
        open_board(device, options)
    assert caught.value.code == "port_busy"


def test_unplugged_port_is_seen_without_asking_the_board(device: str, options: OpenOptions) -> None:
    """A device node that is gone, or a line that has hung up, is known without a byte sent."""
    folder = options.lock_dir.parent / "by-id"
    folder.mkdir()
    link = folder / "usb-board"
    link.symlink_to(device)
    board = open_board(str(link), options)
    try:
        assert board.plugged_in()
        link.unlink()
        assert not board.plugged_in()
    finally:
        board.close()


def test_board_whose_process_ended_is_unplugged(options: OpenOptions) -> None:
    """An emulated board is gone when its process is."""
    board = open_board("native://?uid=01", options)
    try:
        assert board.plugged_in()
        child = cast(ChildSerial, board.connection.port)._child
        assert child is not None
        child.kill()
        child.wait()
        assert not board.plugged_in()
    finally:
        board.close()
