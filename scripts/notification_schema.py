"""Makes docs/reference/notification.schema.json: JSON Schema of what webhooks get."""

from __future__ import annotations

import json

from edgeprof.scheduler.notify.event import Event


def notification_schema() -> str:
    """Return the schema. A later edgeprof may send more fields than it has."""
    schema = Event.model_json_schema(mode="serialization")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A notification of edgeprof, schema version 1",
        "$comment": "Written by `make docs` from scheduler/edgeprof/scheduler/notify/event.py.",
    }
    return json.dumps(head | {k: v for k, v in schema.items() if k != "title"}, indent=1) + "\n"
