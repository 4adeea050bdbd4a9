"""Serial ports shared over TCP, by Debian's ser2net and by pyserial's own RFC 2217 server."""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import serial
from serial import rfc2217


def ser2net_program() -> str | None:
    """Where ser2net is; Debian has it in a folder that not every user searches."""
    return shutil.which("ser2net", path=f"{os.environ['PATH']}:/usr/sbin")


def until_there(port: int) -> None:
    """Wait until somebody listens on a TCP port. To connect could take the only client's place."""
    wanted = f"0100007F:{port:04X} 00000000:0000 0A"
    while wanted not in Path("/proc/net/tcp").read_text():
        time.sleep(0.02)


class Ser2net:
    """A ser2net in the foreground that shares one tty on one TCP port."""

    def __init__(self, device: str, port: int, folder: Path, *, telnet: bool) -> None:
        protocol = "telnet(rfc2217)," if telnet else ""
        config = folder / f"ser2net-{port}.yaml"
        config.write_text(
            "connection: &board\n"
            f"  accepter: {protocol}tcp,127.0.0.1,{port}\n"
            f"  connector: serialdev(nouucplock=true),{device},115200n81,local\n"
            "  options:\n    kickolduser: true\n"
        )
        self._port = port
        self._command = [str(ser2net_program()), "-d", "-u", "-c", str(config)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return self

    def cut(self) -> None:
        """Drop whoever is connected, as a restart of the server does."""
        self._process.kill()
        self._process.wait()
        self.__enter__()

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()


class _Connection:
    """What PortManager writes its answers to."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        with self._lock:
            self._socket.sendall(data)


class PyserialServer:
    """rfc2217_server.py of pyserial's examples, in a thread: one client after the other."""

    def __init__(self, device: str, port: int, _folder: Path, *, telnet: bool) -> None:
        self._device = device
        self._telnet = telnet
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.settimeout(0.05)
        self._stop = threading.Event()
        self._cut = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def cut(self) -> None:
        """Drop whoever is connected."""
        self._cut.set()

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            client.settimeout(5)
            self._cut.clear()
            try:
                with client, serial.Serial(self._device, 115200, timeout=0) as port:
                    self._carry(client, port)
            except OSError:
                continue

    def _carry(self, client: socket.socket, port: serial.Serial) -> None:
        manager = self._manager(client, port) if self._telnet else None
        while not (self._stop.is_set() or self._cut.is_set()):
            sources: list[Any] = [client, port]
            for source in select.select(sources, [], [], 0.05)[0]:
                if source is client:
                    data = client.recv(4096)
                    if not data:
                        return
                    port.write(b"".join(manager.filter(data)) if manager else data)
                else:
                    data = port.read(4096)
                    client.sendall(b"".join(manager.escape(data)) if manager else data)

    def _manager(self, client: socket.socket, port: serial.Serial) -> Any:
        make: Any = rfc2217.PortManager  # its types ask for serial ports where any writer will do
        return make(_Tty(port), _Connection(client))

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._listener.close()


class _Tty:
    """A tty without control lines, as a pty is: PortManager always sees the same of them."""

    cts = dsr = ri = cd = False

    def __init__(self, port: serial.Serial) -> None:
        self.__dict__["_port"] = port

    def __getattr__(self, name: str) -> object:
        return getattr(self._port, name)

    def __setattr__(self, name: str, value: object) -> None:
        if name not in {"dtr", "rts"}:
            setattr(self._port, name, value)
