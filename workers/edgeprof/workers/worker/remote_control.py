"""The remote-control messages of Celery that a worker obeys: questions of Flower and exporters.

Every worker login can publish such messages. Celery's own commands let a caller stop a worker
(shutdown), starve it (rate_limit, cancel_consumer), point it at foreign lists (add_consumer), or
make it match its name against a regular expression of the caller's. None of that is obeyed: the lab
has its own commands for it.

As with doorbells, what Celery is given was written here. A caller chooses one of the commands
below, the workers it asks, and which of its own reply queues gets the answer. It passes no
arguments.
"""

from __future__ import annotations

import base64
import json
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgeprof.shared.queue.doorbell import UUID

#: kombu's names: `<namespace>.pidbox` is the exchange that Celery publishes commands on.
EXCHANGE: Final = "celery.pidbox"
REPLIES: Final = "reply.celery.pidbox"

#: The commands that are obeyed, with the arguments that we give them. Flower's page of a worker
#: asks all but `ping` and `heartbeat`, celery-exporter asks `stats` and `active_queues`, `celery
#: status` asks `ping`, and whoever starts to follow the events asks for a `heartbeat`.
COMMANDS: Final[dict[str, dict[str, Any]]] = {
    "ping": {},
    "heartbeat": {},
    "stats": {},
    "active_queues": {},
    "registered": {},
    "scheduled": {},
    "active": {"safe": True},
    "reserved": {},
    "revoked": {},
    "conf": {},
}

#: Flower sends this every few seconds. It is ignored: events are always on.
_IGNORED: Final = "enable_events"

_Uuid = Annotated[str, Field(pattern=f"^{UUID}$")]


class NotACommandError(ValueError):
    """A remote-control message that no worker obeys."""


class _TolerantModel(BaseModel):
    """Base of what other programs publish; fields that are not read here are allowed."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Properties(_TolerantModel):
    body_encoding: Literal["base64"]


class _Envelope(_TolerantModel):
    body: str
    content_type: Literal["application/json"] = Field(alias="content-type")
    properties: _Properties


class _ReplyTo(_TolerantModel):
    exchange: Literal["reply.celery.pidbox"]
    routing_key: _Uuid


class _Command(_TolerantModel):
    method: str
    destination: list[str] | None = None
    pattern: None = None
    matcher: None = None
    ticket: _Uuid | None = None
    reply_to: _ReplyTo | None = None


def read(message: bytes, node: str) -> str | None:
    """Return the command, written anew, or None when it is not for this node.

    Raises NotACommandError.
    """
    try:
        envelope = _Envelope.model_validate_json(message)
        command = _Command.model_validate_json(base64.b64decode(envelope.body, validate=True))
    except (ValidationError, ValueError) as error:
        raise NotACommandError("it does not have the form of a command") from error
    if command.destination is not None and node not in command.destination:
        return None
    if command.method == _IGNORED:
        return None
    if command.method not in COMMANDS:
        raise NotACommandError("it is a command that is not obeyed here")
    return _write(command)


def _write(command: _Command) -> str:
    body: dict[str, Any] = {"method": command.method, "arguments": COMMANDS[command.method]}
    if command.reply_to is not None:
        body |= command.model_dump(include={"ticket", "reply_to"})
    return json.dumps(
        {
            "body": base64.b64encode(json.dumps(body).encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {},  # no foreign clock: each event would carry it on
            "properties": {
                "delivery_mode": 1,
                "delivery_info": {"exchange": EXCHANGE, "routing_key": ""},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": "",
            },
        }
    )
