"""The remote-control messages of Celery that a worker obeys: the questions of Flower and
celery-exporter.

Every worker login can publish, and Celery's own commands let a caller stop a worker (shutdown),
starve it (rate_limit, cancel_consumer), point it at foreign lists (add_consumer), or have it look
for its name by a regular expression of the caller's. None of that is used here: the lab has its own
commands for it.

As with doorbells, what Celery is given was written here. A caller chooses among the commands below,
whom it asks, and which of its own reply queues gets the answer; it passes no arguments.
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

#: What is asked, and the arguments it is asked with here. Flower's page of a worker asks all but
#: `ping` and `heartbeat`, celery-exporter `stats` and `active_queues`, `celery status` `ping`;
#: whoever begins to follow the events asks for a `heartbeat`.
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

#: Flower says this every few seconds. Events are on anyway, and stay on.
_NEEDLESS: Final = "enable_events"

_Uuid = Annotated[str, Field(pattern=f"^{UUID}$")]


class NotACommandError(ValueError):
    """A remote-control message that no worker obeys."""


class _Told(BaseModel):
    """Base of what others publish; more may be said than is listened to."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Properties(_Told):
    body_encoding: Literal["base64"]


class _Envelope(_Told):
    body: str
    content_type: Literal["application/json"] = Field(alias="content-type")
    properties: _Properties


class _ReplyTo(_Told):
    exchange: Literal["reply.celery.pidbox"]
    routing_key: _Uuid


class _Command(_Told):
    method: str
    destination: list[str] | None = None
    pattern: None = None
    matcher: None = None
    ticket: _Uuid | None = None
    reply_to: _ReplyTo | None = None


def read(message: bytes, node: str) -> str | None:
    """Return a command in our own writing, or None when it is not for this node. Raises
    NotACommandError."""
    try:
        envelope = _Envelope.model_validate_json(message)
        command = _Command.model_validate_json(base64.b64decode(envelope.body, validate=True))
    except (ValidationError, ValueError) as error:
        raise NotACommandError("it has not the form of a command") from error
    if command.destination is not None and node not in command.destination:
        return None
    if command.method == _NEEDLESS:
        return None
    if command.method not in COMMANDS:
        raise NotACommandError("it is none that is obeyed here")
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
            "headers": {},  # no clock of others: it would be carried on in every event
            "properties": {
                "delivery_mode": 1,
                "delivery_info": {"exchange": EXCHANGE, "routing_key": ""},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": "",
            },
        }
    )
