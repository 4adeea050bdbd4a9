"""Makes docs/reference/record.schema.json: JSON Schema of what `edgeprof job ID --json` prints."""

from __future__ import annotations

import json

from edgeprof.shared.types.job import SCHEMA_VERSION
from edgeprof.shared.types.result import JobView


def record_schema() -> str:
    """Return the schema. A record may have more fields than it: a newer edgeprof wrote it."""
    schema = JobView.model_json_schema(mode="serialization")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A job of edgeprof, schema version {SCHEMA_VERSION}",
        "$comment": "Written by `make docs` from shared/edgeprof/shared/types/result.py.",
    }
    text = json.dumps(head | {k: v for k, v in schema.items() if k != "title"}, indent=1)
    # Python's `re`, which many validators use, knows no classes of Unicode.
    return text.replace(r"\\P{Cc}", r"[^\\x00-\\x1f\\x7f-\\x9f]") + "\n"
