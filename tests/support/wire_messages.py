"""Every message of the wire, by its name in the CDDL file."""

from __future__ import annotations

from edgeprof.workers.link.messages import board, errors, model, profile, runs
from edgeprof.workers.link.messages.codec import (
    Message,
    Reply,
    Request,
    name_of,
)

MESSAGES: dict[str, type[Message]] = {
    name_of(found): found
    for module in (board, model, runs, profile, errors)
    for found in vars(module).values()
    if isinstance(found, type)
    and issubclass(found, Message)
    and found not in {Message, Reply, Request}
}
