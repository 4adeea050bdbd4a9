"""The rate of a serial line: where a board may be found, and how both ends go to a faster one.

Lines without a rate (a process, a TCP connection) are left as they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Final

import serial

from edgeprof.shared.errors import LinkFault
from edgeprof.workers.link.client import LinkClient
from edgeprof.workers.link.messages.board import BaudRequest, PingRequest
from edgeprof.workers.link.port import rate_of, set_rate

DEFAULT_BAUD: Final = 115200
#: Rates that boards of ours can be asked for (BAUD).
FAST_BAUDS: Final = (1_000_000, 921600, 460800, 230400)
#: No host of ours has been seen to go faster over a USB adapter.
_MOST_BAUD: Final = 2_000_000
#: How long a board that was left at another rate needs to be back at its own (protocol, BAUD).
FALLBACK_S: Final = 1.1
_FIRST_TRIES: Final = 8
_TRIES_PER_RATE: Final = 2


def tune(port: serial.SerialBase, url: str, first_baud: int, number: int) -> None:
    """Set the rate for the HELLO of this number.

    A board is at its first rate, or at one where a host that died has left it.
    """
    if rate_of(port) is not None:
        left_at = tuple(rate for rate in FAST_BAUDS for _ in range(_TRIES_PER_RATE))
        rates = (first_baud,) * _FIRST_TRIES + left_at
        set_rate(port, url, rates[number % len(rates)])


def negotiate(
    client: LinkClient,
    port: serial.SerialBase,
    url: str,
    bauds: Sequence[int],
    wait: Callable[[float], None],
) -> None:
    """Go to the fastest rate both ends can make; on trouble stay where we are."""
    before, usable = rate_of(port), rates(port, bauds)
    if before is None or not usable or max(usable) <= before:
        return
    with contextlib.suppress(LinkFault):
        go_to(client, port, url, max(usable), wait)


def rates(port: serial.SerialBase, bauds: Sequence[int]) -> tuple[int, ...]:
    """Return those of a board's rates that a host can make, lowest first; none without a rate."""
    if rate_of(port) is None:
        return ()
    return tuple(sorted({baud for baud in bauds if baud <= _MOST_BAUD}))


def go_to(
    client: LinkClient,
    port: serial.SerialBase,
    url: str,
    rate: int,
    wait: Callable[[float], None],
) -> None:
    """Go to another rate. Raises LinkFault when the board is not heard there; we are back then."""
    before = rate_of(port)
    assert before is not None
    client.request(BaudRequest(baud=rate))
    try:
        set_rate(port, url, rate)  # a server of rfc2217:// may refuse
        client.request(PingRequest(echo=rate), timeout_s=0.2, tries=3)
    except LinkFault:
        set_rate(port, url, before)
        wait(FALLBACK_S)
        client.request(PingRequest(echo=before))
        raise
