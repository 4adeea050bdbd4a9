"""A board's port, lent to a program for as long as that gives signs of life.

While a loan lasts the board gets no jobs, and its worker leaves the port alone. It ends when the
program gives the port back, when somebody resumes the board, or when the program has been silent
for some seconds: a killed one keeps no board out of the lab.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from edgeprof.shared.errors import HostFault, InfrastructureError
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.store.lab import LabStore


@contextmanager
def borrowed(
    store: LabStore,
    device_id: str,
    actor: str,
    reason: str,
    lease_s: float,
    on_lost: Callable[[], None],
) -> Iterator[None]:
    """Borrow a board's port for the length of the `with`. Raises BoardNotFound and HostFault.

    The board's worker may still have the port: released_port.py waits for it. on_lost is called
    from another thread when somebody has taken the port back.
    """
    token, over = secrets.token_hex(8), threading.Event()
    call = store.script.call
    answer = call("lend", device_id, token, actor, one_line(reason), lease_s)
    if answer == "unknown":
        raise store.boards.unknown(device_id)
    if answer != "ok":
        raise HostFault(
            f"the port of {device_id} is in use: {one_line(answer)}",
            code="port_lent",
            hint=f"edgeprof boards resume {device_id} takes it back",
        )

    def give_signs() -> None:
        while not over.wait(lease_s / 3):
            with suppress(InfrastructureError):  # Redis is away for the board's worker as well
                if not call("keep", device_id, token, lease_s):
                    on_lost()
                    return

    thread = threading.Thread(target=give_signs, name="port loan", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with suppress(InfrastructureError):  # then the loan ends by itself
            call("give_back", device_id, token, "the port was given back")
