"""The OpenAPI document, made of the types that are sent and of the queries that are read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from edgeprof.client.llama_bench import ALWAYS, BenchRow
from edgeprof.scheduler.site.queries import ApiQuery
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.result import JobView
from edgeprof.shared.types.wire import NAME

_REF: Final = "#/components/schemas/{model}"


@dataclass(frozen=True, slots=True)
class Operation:
    """GET of one path. It answers one record, or a list where it takes a query."""

    path: str
    summary: str
    record: str
    query: type[ApiQuery] | None = None


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the whole document, of OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "edgeprof: a lab of boards, to read",
            "version": version("tiny-llm-edge-profiler"),
            "description": "Jobs, results and boards. Fields are those of docs/reference/results.md"
            " Beyond loopback a token is required (EDGEPROF_PAGES_TOKEN).",
        },
        "security": [{}, {"bearer": []}, {"basic": []}],
        "paths": {operation.path: {"get": _get(operation)} for operation in operations},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _get(operation: Operation) -> dict[str, Any]:
    one = {"$ref": _REF.format(model=operation.record)}
    body = {"type": "array", "items": one} if operation.query else one
    responses = {"200": _response("What was asked for.", body), "400": _error("A wrong query.")}
    if "{name}" in operation.path:
        responses["404"] = _error("There is none of this name.")
    responses["503"] = _error("Redis or the archive does not answer.")
    for status, text in (("401", "The token is missing or wrong."), ("403", "See the text.")):
        plain = {"text/plain": {"schema": {"type": "string"}}}
        responses[status] = {"description": text, "content": plain}
    return {
        "operationId": operation.path.strip("/").replace("/", "_").replace("{name}", "one"),
        "summary": operation.summary,
        "parameters": [*_parameters(operation)],
        "responses": responses,
    }


def _parameters(operation: Operation) -> Iterable[dict[str, Any]]:
    if "{name}" in operation.path:
        schema = {"type": "string", "pattern": NAME}
        yield {"name": "name", "in": "path", "required": True, "schema": schema}
    if operation.query is None:
        return
    found = _plain(operation.query.model_json_schema())
    for name, schema in found["properties"].items():
        inlined = json.loads(_inlined(json.dumps(schema), found.get("$defs", {})))
        # A query has no null: a parameter is there or not.
        kinds = [kind for kind in inlined.pop("anyOf", []) if kind != {"type": "null"}]
        for kind in kinds:
            inlined |= kind
        if inlined.get("default", 0) is None:
            del inlined["default"]
        yield {
            "name": name,
            "in": "query",
            "description": inlined.pop("description", ""),
            "schema": inlined,
        }


def _inlined(text: str, definitions: dict[str, Any]) -> str:
    for name, schema in definitions.items():
        reference = json.dumps({"$ref": f"#/$defs/{name}"})
        text = text.replace(reference, json.dumps(schema))
    return text


def _schemas() -> dict[str, Any]:
    _, found = models_json_schema(
        [(kind, "serialization") for kind in (JobView, BoardInfo)], ref_template=_REF
    )
    rows = TypeAdapter(BenchRow).json_schema(mode="serialization", ref_template=_REF)
    rows["properties"] |= {name: {"const": value} for name, value in ALWAYS.items()}
    error = {
        "type": "object",
        "properties": {
            "error": {"type": "string"},
            "hint": {"type": ["string", "null"], "description": "What to do about it."},
        },
        "required": ["error", "hint"],
    }
    schemas: dict[str, Any] = _plain({**found["$defs"], "BenchRow": rows, "Error": error})
    return schemas


def _plain(schema: Any) -> Any:
    """Return a schema whose patterns every dialect of regular expressions knows."""
    text = json.dumps(schema)
    return json.loads(
        text.replace(json.dumps(r"^\P{Cc}*$"), json.dumps(r"^[^\x00-\x1f\x7f-\x9f]*$"))
    )


def _response(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _error(text: str) -> dict[str, Any]:
    return _response(text, {"$ref": _REF.format(model="Error")})


__all__: Sequence[str] = ("Operation", "document")
