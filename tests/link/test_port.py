"""What a port does wrong is a fault that names it; and nobody else may have it while we do.

It is long because its broken port is used by all of it.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import pty
import socket
import struct
import subprocess
import sys
import termios
import threading
import tty
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import serial
from typing_extensions import Buffer

from edgeprof.shared.errors import Fault, HostFault, LinkFault
from edgeprof.shared.models import ModelFile
from edgeprof.shared.types.model import KvType
from edgeprof.workers.link import port as ports
from edgeprof.workers.link.client import LinkClient
from edgeprof.workers.link.device import OpenOptions, open_board
from edgeprof.workers.link.port_faults import others_on
from tests.link.conftest import Line

TIOCGEXCL = 0x80045440
RAISED = [
    OSError(errno.EIO, "Input/output error"),
    serial.SerialException("gone"),
    serial.SerialTimeoutException("Write timeout"),
    serial.PortNotOpenError(),
    termios.error(errno.EIO, "Input/output error"),
    AttributeError("'NoneType' object has no attribute 'fileno'"),
    NotImplementedError("write_timeout is currently not supported"),
    struct.error("unpack requires a buffer of 4 bytes"),
    ValueError("file descriptor cannot be a negative integer (-1)"),
    TypeError("an integer is required"),
    UnicodeError("label too long"),
    ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    io.UnsupportedOperation("fileno"),
    RuntimeError("Set changed size during iteration"),
    KeyError("uart"),
]
PLACES = ["make", "open", "fileno", "in_waiting", "read", "write", "baudrate", "close"]


class Broken(serial.Serial):
    """A port that answers nothing, and one of whose methods raises."""

    place, error = "", Exception()

    def _trip(self, place: str) -> None:
        if self.place == place:
            raise self.error

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._trip("make")
        self._ends = socket.socketpair()
        super().__init__(*args, **kwargs)

    def open(self) -> None:
        self._trip("open")
        self.is_open = True

    def fileno(self) -> int:
        self._trip("fileno")
        if self.place == "in_waiting":
            raise io.UnsupportedOperation
        return self._ends[0].fileno()

    @property
    def in_waiting(self) -> int:
        self._trip("in_waiting")
        return 0

    def read(self, size: int = 1) -> bytes:
        self._trip("read")
        return b""

    def write(self, data: Buffer, /) -> int:
        self._trip("write")
        if self.place == "read":
            self._ends[1].send(b"x")
        return len(bytes(data))

    def _reconfigure_port(self, force_update: bool = False) -> None:
        if self.is_open and self.baudrate != 115200:
            self._trip("baudrate")

    def close(self) -> None:
        self.is_open = False
        for end in self._ends:
            end.close()
        self._trip("close")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Exception], str]:
    """`broken(place, error)`: the URL of a port where that method raises that."""
    package = types.ModuleType("broken_ports")
    package.__path__ = []
    module = types.ModuleType("broken_ports.protocol_broken")
    module.Serial = Broken  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "broken_ports", package)
    monkeypatch.setitem(sys.modules, "broken_ports.protocol_broken", module)
    monkeypatch.setattr(serial, "protocol_handler_packages", ["broken_ports"])

    def make(place: str, error: Exception) -> str:
        monkeypatch.setattr(Broken, "place", place)
        monkeypatch.setattr(Broken, "error", error)
        return "broken://here"

    return make


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", PLACES)
def test_whatever_a_handler_raises_is_a_fault(
    broken: Callable[[str, Exception], str],
    options: OpenOptions,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    error: Exception,
) -> None:
    """An error in any method of a port is a one-line fault with the URL, and the lock is free
    again."""
    monkeypatch.setattr("edgeprof.workers.link.client.HELLO_EVERY_S", 0.001)
    url = broken(place, error)
    quick = type(options)(lock_dir=options.lock_dir, slot_dir=options.slot_dir, open_timeout_s=0.02)
    for _ in range(2):
        with pytest.raises(Fault) as caught:
            open_board(url, quick)

        assert str(caught.value).startswith(url)
        assert "\n" not in str(caught.value)
        if place in {"make", "open"}:
            assert isinstance(caught.value, HostFault)
            assert caught.value.code.startswith("port_")
        else:
            assert isinstance(caught.value, LinkFault)
            assert caught.value.code in {"port_gone", "no_hello"}
        assert caught.value.hint or caught.value.code == "port_failed"


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", ["fileno", "baudrate", "close"])
def test_looking_at_a_port_and_closing_it_raise_nothing(
    broken: Callable[[str, Exception], str], place: str, error: Exception
) -> None:
    """The heartbeat looks at a port that another thread is closing: that is no news."""
    url = broken(place, error)
    port = ports.open_port(url, 115200)
    assert ports.plugged_in(port, url)
    if place == "baudrate":
        with pytest.raises(LinkFault, match=url):
            ports.set_rate(port, url, 921600)
    ports.close_port(port, url)
    assert ports.plugged_in(port, url)
    ports.close_port(port, url)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("hwgrep://no-such-adapter", "port_absent"),
        ("hwgrep://(", "port_failed"),
        ("alt:///dev/no-such-tty", "port_absent"),
        ("alt:///dev/ttyS0?class=Nothing", "port_failed"),
        ("spy:///dev/no-such-tty", "port_absent"),
        ("cp2110://0001:0023:00", "port_failed"),
        ("socket://127.0.0.1:1", "port_failed"),
        ("rfc2217://127.0.0.1:1", "port_failed"),
        ("nativ://", "port_failed"),
        ("/dev/null", "port_failed"),
        ("/dev", "port_failed"),
        ("loop://", "no_hello"),
    ],
)
def test_every_handler_of_pyserial_fails_in_our_words(
    options: OpenOptions, url: str, code: str
) -> None:
    """The URL, what happened, and a class that says whose trouble it is."""
    quick = type(options)(lock_dir=options.lock_dir, slot_dir=options.slot_dir, open_timeout_s=0.2)
    with pytest.raises(Fault) as caught:
        open_board(url, quick)

    assert caught.value.code == code
    assert url in str(caught.value)


def test_connection_dropped_during_an_upload(
    line: Line, options: OpenOptions, small_model: ModelFile
) -> None:
    """A dropped connection is a link fault, and the port can be asked meanwhile and afterwards."""
    board = open_board(line.url, options)
    looks: list[bool] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            looks.append(board.plugged_in())

    looker = threading.Thread(target=look)
    looker.start()

    def cut(done: int, _total: int) -> None:
        if done > 20_000:
            line._stop.set()

    with pytest.raises(LinkFault) as caught:
        board.load(
            small_model.path, small_model.sha256, n_ctx=64, kv_type=KvType.F16, epoch=1,
            on_progress=cut, should_stop=lambda: False,
        )  # fmt: skip
    assert caught.value.code == "port_gone"
    assert not board.plugged_in()
    board.close()
    stop.set()
    looker.join()
    assert board.plugged_in()  # closed on purpose: no news
    assert looks


@pytest.fixture
def device() -> Iterator[str]:
    """A tty with nobody behind it."""
    far_end, host_end = pty.openpty()
    tty.setraw(host_end)
    yield os.ttyname(host_end)
    os.close(far_end)
    os.close(host_end)


def exclusive(device: str) -> int:
    fd = os.open(device, os.O_RDWR | os.O_NOCTTY)
    try:
        return int.from_bytes(fcntl.ioctl(fd, TIOCGEXCL, bytes(4)), sys.byteorder)
    finally:
        os.close(fd)


@pytest.mark.parametrize("form", ["{}", "alt://{}", "spy://{}?file=/dev/null"])
def test_open_port_is_closed_to_programs_that_look_at_no_lock(device: str, form: str) -> None:
    """TIOCEXCL is set while we have the port, and taken back when we let it go."""
    url = form.format(device)
    port = ports.open_port(url, 115200)
    assert exclusive(device)
    # root may open it all the same, unless it gives that right away
    drop = ["setpriv", "--bounding-set", "-sys_admin", "--"] if os.geteuid() == 0 else []
    opener = [*drop, sys.executable, "-c", f"open({device!r}, 'rb', buffering=0)"]
    assert b"busy" in subprocess.run(opener, capture_output=True, check=False).stderr
    ports.close_port(port, url)
    assert not exclusive(device)
    subprocess.run(opener, check=True)
    if port_file := getattr(getattr(port, "formatter", None), "output", None):
        port_file.close()


HOLDER = (
    "import serial, sys; port = serial.Serial(sys.argv[1], exclusive=True);"
    "print(1, flush=True); input()"
)


def test_program_that_has_the_port_is_named(device: str, options: OpenOptions) -> None:
    """The program that has a port is named by process id and name, where we may see them."""
    command = [sys.executable, "-c", HOLDER, device]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(HostFault) as caught:
            open_board(device, options)
        holder.kill()

    assert caught.value.code == "port_busy"
    assert f"process {holder.pid} (python" in str(caught.value)


def test_program_that_takes_bytes_away_is_named(
    device: str, options: OpenOptions, wait_until: Callable[..., None]
) -> None:
    """One that was there first, and looks at no lock: it may be why no HELLO came."""
    quick = type(options)(lock_dir=options.lock_dir, slot_dir=options.slot_dir, open_timeout_s=0.2)
    with subprocess.Popen(["cat", device], stdout=subprocess.DEVNULL) as reader:
        wait_until(lambda: others_on(device), "cat has the port open")
        with pytest.raises(LinkFault) as caught:
            open_board(device, quick)
        reader.kill()

    assert caught.value.code == "no_hello"
    assert f"process {reader.pid} (cat) has the port open too" in str(caught.value.hint)


def test_frames_of_a_session_go_through_the_one_place(
    broken: Callable[[str, Exception], str],
) -> None:
    """LinkClient reads and writes only there: its faults carry the name it was given."""
    url = broken("write", BrokenPipeError(errno.EPIPE, "Broken pipe"))
    port = ports.open_port(url, 115200)
    with pytest.raises(LinkFault, match=r"broken://here: cannot write: .*Broken pipe"):
        LinkClient(port, url).send(b"x")
    ports.close_port(port, url)
