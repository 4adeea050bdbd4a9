"""The open port of one board, and the client that speaks over it.

It can be opened again, even at another URL. The port of a board may vanish when it restarts. A
board whose flash was written must send a new HELLO.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgeprof.shared.errors import BoardFault, HostFault, LinkFault
from edgeprof.workers.board.flash import FindPlacer
from edgeprof.workers.board.protocols import Cancelled, Hello
from edgeprof.workers.link import baud
from edgeprof.workers.link.client import STOP_EVERY_S, LinkClient
from edgeprof.workers.link.hello import parse_hello, window_bytes
from edgeprof.workers.link.messages.board import HelloReply, ResetRequest
from edgeprof.workers.link.port import close_port, ends_with_its_board, open_port, set_rate

RESET_TRIES = 2


class Connection:
    """A board that has sent its HELLO. Not thread-safe."""

    def __init__(
        self,
        url: str,
        *,
        first_baud: int,
        open_timeout_s: float,
        should_stop: Callable[[], bool],
        find_placer: FindPlacer,
    ) -> None:
        self.url = url
        self._first_baud = first_baud
        self._open_timeout_s = open_timeout_s
        self._worker_stops = should_stop
        #: Whether the job that has the board is to end.
        self.job_stops: Callable[[], bool] = lambda: False
        self._find_placer = find_placer
        self.port = open_port(url, first_baud, self.check_stop)
        try:
            self.connect()
        except BaseException:
            close_port(self.port, url)
            raise

    # --- waiting ---

    def check_stop(self) -> None:
        """End a wait that nobody wants any more; every wait calls this some times a second."""
        if self._worker_stops():
            raise HostFault(f"{self.url}: the board worker was stopped", code="worker_stopped")
        if self.job_stops():
            raise Cancelled

    @contextmanager
    def stopped_by(self, should_stop: Callable[[], bool]) -> Iterator[None]:
        """End waits with Cancelled, once the callable returns true."""
        before, self.job_stops = self.job_stops, should_stop
        try:
            yield
        finally:
            self.job_stops = before

    def _wait(self, length_s: float) -> None:
        until_s = time.monotonic() + length_s
        while time.monotonic() < until_s:
            self.check_stop()
            time.sleep(STOP_EVERY_S)

    # --- opening ---

    def connect(self) -> None:
        """Meet whoever is on the open port, and go to the fastest rate."""
        self.client = LinkClient(self.port, self.url, self.check_stop)
        self._note(self.client.hello(self._open_timeout_s, self._tune))
        baud.negotiate(self.client, self.port, self.url, self.hello.bauds, self._wait)
        self._wait_for_slot()

    def rates(self) -> tuple[int, ...]:
        """Return the rates that the line can have, lowest first; none where it has no rate."""
        return baud.rates(self.port, (self._first_baud, *self.hello.bauds))

    def use_rate(self, rate: int) -> None:
        """Go to another rate. Raises LinkFault when the board is not heard at it."""
        baud.go_to(self.client, self.port, self.url, rate, self._wait)

    def _wait_for_slot(self) -> None:
        """Wait until the board knows what is in its flash.

        Not to wait would be wrong: a board that has just restarted would seem to hold no model, and
        its flash would be written once more.
        """
        left, deadline = self._unhashed_bytes, time.monotonic() + self._open_timeout_s
        while left:
            self._wait(STOP_EVERY_S)
            self._note(self.client.hello(self._open_timeout_s))
            if self._unhashed_bytes < left:
                left, deadline = self._unhashed_bytes, time.monotonic() + self._open_timeout_s
            elif time.monotonic() > deadline:
                raise BoardFault(
                    f"{self.url}: the board stopped hashing the model in its flash, {left} bytes"
                    " before the end",
                    code="hash_stalled",
                )

    def refresh_hello(self) -> Hello:
        """Ask the board for a new HELLO. The stored one dates from when the port was opened.

        The board may have restarted since, without a word that reached us.
        """
        self._note(self.client.hello(self._open_timeout_s))
        self._wait_for_slot()
        return self.hello

    def _note(self, reply: HelloReply) -> None:
        #: How a model gets into the flash of this board; None when there is no way.
        self.placer = self._find_placer(self.url, reply.platform)
        self.hello = parse_hello(reply, can_flash=self.placer is not None)
        #: How many bytes of DATA frames may be on their way.
        self.rx_window_bytes = window_bytes(reply)
        self._unhashed_bytes = reply.unhashed_bytes or 0

    def _tune(self, number: int) -> None:
        baud.tune(self.port, self.url, self._first_baud, number)

    def open_again(self, url: str | None = None) -> None:
        """Open the port once more, by another URL if one is given; no HELLO has come yet."""
        close_port(self.port, self.url)
        self.port = open_port(url or self.url, self._first_baud, self.check_stop)

    def close(self) -> None:
        """Close the port; never fails."""
        close_port(self.port, self.url)

    # --- restarting ---

    def reset(self) -> None:
        """Restart the board and wait until its HELLO comes again, with another boot id."""
        before = self.hello.boot_id
        self.client.boot_id = None  # its BOOT event may come in one read with the reply
        self.client.request(ResetRequest(), tries=RESET_TRIES)
        # A restarted board begins at its first rate.
        set_rate(self.port, self.url, self._first_baud)
        deadline = time.monotonic() + self._open_timeout_s
        while True:
            try:
                self.connect()
            except LinkFault as fault:
                # A board with USB of its own takes the port with it, and brings it back.
                gone = fault.code == "port_gone" and not ends_with_its_board(self.port)
                if not gone or time.monotonic() > deadline:
                    raise
                self.open_again()
                continue
            if self.hello.boot_id != before:
                return
            if time.monotonic() > deadline:
                raise BoardFault(f"{self.url}: RESET did not restart it", code="reset_failed")
