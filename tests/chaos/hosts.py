"""Network namespaces as machines: each host has its own, joined by a bridge; a cable can be pulled.

Needs root. Redis is on the bridge's own address, as on a machine of its own.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

_NET: Final = "10.231.77"


class Network:
    """Namespaces for some hosts; use as a context manager."""

    #: Where Redis is to listen.
    address = f"{_NET}.1"

    def __init__(self, hosts: Sequence[str]) -> None:
        # Names of our own, so that two runs do not meet, and nothing of the machine's is touched.
        self._tag = f"ep{os.getpid() % 100_000}"
        self._hosts = {host: number for number, host in enumerate(hosts)}

    def __enter__(self) -> Self:
        bridge = f"{self._tag}br"
        _ip(f"link add {bridge} type bridge")
        try:
            _ip(f"addr add {self.address}/24 dev {bridge}")
            _ip(f"link set {bridge} up")
            for host, number in self._hosts.items():
                inside, outside = self.namespace(host), self._cable(host)
                _ip(f"netns add {inside}")
                _ip(f"link add {outside} type veth peer name eth0 netns {inside}")
                _ip(f"link set {outside} master {bridge} up")
                _ip(f"-n {inside} link set lo up")
                _ip(f"-n {inside} addr add {_NET}.{number + 10}/24 dev eth0")
                _ip(f"-n {inside} link set eth0 up")
        except subprocess.CalledProcessError:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        for host in self._hosts:
            _ip(f"netns del {self.namespace(host)}", check=False)
        _ip(f"link del {self._tag}br", check=False)

    def namespace(self, host: str) -> str:
        """Return the name of a host's namespace."""
        return f"{self._tag}-{host}"

    def inside(self, host: str) -> list[str]:
        """Return what goes before a command that is to run on a host."""
        return ["ip", "netns", "exec", self.namespace(host)]

    def cut(self, host: str) -> None:
        """Pull the host's cable: packets are lost, nobody is told."""
        _ip(f"link set {self._cable(host)} down")

    def heal(self, host: str) -> None:
        """Plug it in again."""
        _ip(f"link set {self._cable(host)} up")

    def _cable(self, host: str) -> str:
        return f"{self._tag}v{self._hosts[host]}"


def _ip(arguments: str, *, check: bool = True) -> None:
    subprocess.run(["ip", *arguments.split()], check=check, capture_output=True)
