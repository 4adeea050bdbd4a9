"""Lab hosts in the store: which agents serve metrics, and where Prometheus finds them."""

from __future__ import annotations

import logging
import os
from typing import Annotated, ClassVar, Final

from pydantic import Field

from edgeprof.shared.errors import EdgeprofError
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.store.boards import is_drained, reason_of
from edgeprof.shared.store.script import LeftOut, Script, text
from edgeprof.shared.telemetry.trouble import Troubles
from edgeprof.shared.types.wire import Name, NoControl, TolerantModel

log = logging.getLogger(__name__)

#: host:port, which Prometheus is told to scrape.
Address = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:\[\]-]{1,255}:[0-9]{1,5}$")]

#: A silent host stays listed for so long, so that Prometheus shows it as down.
KEPT_S = 86400.0

#: Most ports without a board that an agent announces; a host has some dozens.
MAX_WAITING: Final = 40

#: An agent announces itself every 5 s; one that did not for so long has gone.
FRESH_S = 15.0


class HostClash(EdgeprofError):  # noqa: N818 - as BoardClash
    """Raised when two machines have one name: their metrics could not be told apart."""


class WaitingPort(TolerantModel):
    """A port, or a configured board, on which no board of ours has answered yet."""

    port: Annotated[NoControl, Field(max_length=1024)]
    reason: Annotated[NoControl, Field(max_length=300)]


class HostInfo(TolerantModel):
    """One host agent; addresses are host:port."""

    largest_bytes: ClassVar[int] = 64 * 1024

    host: Name
    pid: Annotated[int, Field(gt=0, lt=2**31)]
    sessions_address: Address
    devices_address: Address
    #: Tells two machines of one name apart.
    machine: Annotated[str, Field(max_length=64)] = ""
    #: Ports where no board has answered yet, and why.
    waiting: Annotated[tuple[WaitingPort, ...], Field(max_length=MAX_WAITING)] = ()
    #: Whether it was announced lately; the store sets it.
    fresh: bool = False


class HostStore:
    """Announcements of host agents, by the address of their metrics."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._left_out = Troubles(log)

    def announce(self, info: HostInfo) -> None:
        """Announce where an agent's metrics are; it replaces an earlier agent at the same address.

        Raises HostClash while another machine of that name is there.
        """
        other = self._script.call(
            "announce_host", info.sessions_address, info.model_dump_json(), KEPT_S, FRESH_S
        )
        if other:
            raise HostClash(
                f"another machine, at {other}, is called {info.host} as well:"
                " this one is not listed",
                hint="set EDGEPROF_HOST to a name of its own",
            )

    def withdraw(self, info: HostInfo) -> None:
        """Take a host off the list: one that was stopped on purpose is not down."""
        self._script.call("withdraw_host", info.sessions_address)

    def cordon(self, host: str, actor: str, reason: str, *, drained: bool = False) -> None:
        """Keep all boards of a host from new jobs, also boards that appear later.

        drained: a person wants it, so no self-test ends it; else the machine itself is at fault.
        """
        self._script.call("cordon", host, actor, one_line(reason), int(drained))

    def uncordon(self, host: str, *, drained: bool = False) -> bool:
        """Let the boards of a host take jobs again; False: it was not cordoned.

        drained: also a host that a person drained.
        """
        return bool(self._script.call("uncordon", host, int(drained)))

    def cordoned(self) -> dict[str, str]:
        """Return the hosts at fault, whose boards get no jobs, each with the reason."""
        name = self._script.key("hosts:cordoned")
        found = self._script.guarded(lambda redis: text(redis.hgetall(name)))
        return {
            one_line(host, 64): reason_of(cordon)
            for host, cordon in found.items()
            if not is_drained(cordon)
        }

    def sweep_dead(self, host: str) -> None:
        """Take agents of this machine off the list whose process is gone."""
        for info in self.all():
            if info.host == host and not _alive(info.pid):
                self.withdraw(info)

    def all(self) -> list[HostInfo]:
        """Return the agents on the list, with `fresh` set."""
        found, left_out = [], LeftOut()
        now, *flat = self._script.call("hosts")
        for announced, until in zip(flat[::2], flat[1::2], strict=True):
            fresh = float(until) > float(now) + KEPT_S - FRESH_S
            try:
                found.append(HostInfo.read(announced).model_copy(update={"fresh": fresh}))
            except ValueError as error:
                left_out.add(error)
        left_out.tell(self._left_out, "announcement(s) of hosts")
        return found


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
