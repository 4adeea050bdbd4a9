"""Shows a model's file: its facts, metadata and tensors as tables and as JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import gguf
import numpy as np
from rich.table import Table

from edgeprof.cli.render.tables import new_table
from edgeprof.client.humanize import human_bytes, human_count
from edgeprof.shared.errors import ModelError
from edgeprof.shared.models import ConvertibleModel
from edgeprof.shared.models.gguf_values import Scalar, Value
from edgeprof.shared.models.quantize import padding_note

#: Characters of a metadata value on a terminal, and items of an array in JSON: vocabularies have
#: thousands.
_MOST_CHARACTERS = 120
_MOST_ITEMS = 256
_SOURCE_KEYS = (
    "general.source.url",
    "general.source.huggingface.repository",
    "general.url",
    "general.source.repo_url",
    "general.repo_url",
    "general.base_model.0.repo_url",
)
#: The largest float32.
_LARGEST = float(np.finfo(np.float32).max)
#: Items of a long array that a terminal shows.
_FIRST_ITEMS = 6


def model_facts(model: ConvertibleModel) -> dict[str, Any]:
    """Return a model's name, type, size and shape."""
    shape = model.shape
    return {
        "name": model.name,
        "quantization": model.label,
        "size_bytes": model.size_bytes,
        "n_params": model.n_params,
        "sha256": model.sha256,
        "n_ctx_train": shape.n_ctx,
        "n_vocab": shape.n_vocab,
        "dim": shape.dim,
        "hidden": shape.hidden,
        "n_layers": shape.n_layers,
        "n_heads": shape.n_heads,
        "n_heads_kv": shape.n_heads_kv,
        "path": str(model.path),
    }


def model_json(model: ConvertibleModel) -> dict[str, Any]:
    """Return all that `models inspect --json` prints; arrays of metadata up to 256 items."""
    return _facts(model) | {
        "types": {
            name: {"tensors": tensors, "weights": weights, "size_bytes": n_bytes}
            for name, (tensors, weights, n_bytes) in _types(model).items()
        },
        "metadata": {key: _value_json(value) for key, value in model.header.metadata.items()},
        "tensors": [
            {"name": t.name, "type": t.type_name, "shape": t.ne, "size_bytes": t.n_bytes}
            for t in model.header.tensors.values()
        ],
    }


def model_tables(model: ConvertibleModel) -> Iterator[Table]:
    """Return facts, metadata, types and tensors, for a terminal."""
    facts = new_table("", "", text="")
    facts.show_header = False
    for name, value in _facts(model).items():
        if value is not None:
            facts.add_row(name, str(value))
    yield facts
    metadata = new_table("metadata key", "value", text="value")
    for key, item in model.header.metadata.items():
        metadata.add_row(key, _value_text(item))
    yield metadata
    types = new_table("type", "tensors", "weights", "size", "boards run it")
    for name, (tensors, weights, n_bytes) in _types(model).items():
        runs = "yes" if name in _runnable(model) else "no, convert it"
        types.add_row(name, str(tensors), human_count(weights), human_bytes(n_bytes), runs)
    yield types
    table = new_table("tensor", "type", "shape", "bytes", right={"bytes"})
    for tensor in model.header.tensors.values():
        shape = " x ".join(map(str, tensor.ne))
        table.add_row(tensor.name, tensor.type_name, shape, f"{tensor.n_bytes:,}")
    yield table


def _facts(model: ConvertibleModel) -> dict[str, Any]:
    """The model's facts, and those of the file's own metadata; None where the file has none."""
    boards, convert = "run it as it is", None
    try:
        model.runnable()
    except ModelError as error:
        boards = f"cannot run it as it is:{str(error).removeprefix(f'{model.path}:')}"
        convert = (error.hint or "").removeprefix("convert it: ")
    return model_facts(model) | {
        "gguf_version": model.header.version,
        "tokenizer": _tokenizer(model),
        "made_of": f"{model.source.file} ({' > '.join(model.source.chain)})",
        "source": _source(model),
        "padding": padding_note(model),
        "boards": boards,
        "convert": convert,
    }


def _types(model: ConvertibleModel) -> dict[str, tuple[int, int, int]]:
    """A row for each type: tensors, weights, bytes. The type with most bytes comes first."""
    tensors: Counter[str] = Counter()
    weights: Counter[str] = Counter()
    n_bytes: Counter[str] = Counter()
    for info in model.header.tensors.values():
        tensors[info.type_name] += 1
        weights[info.type_name] += info.n_elements
        n_bytes[info.type_name] += info.n_bytes
    return {name: (tensors[name], weights[name], size) for name, size in n_bytes.most_common()}


def _runnable(model: ConvertibleModel) -> set[str]:
    return {i.type_name for i in model.header.tensors.values() if i.quantization is not None}


def _tokenizer(model: ConvertibleModel) -> str | None:
    kind, pre = model.meta("tokenizer.ggml.model"), model.meta("tokenizer.ggml.pre")
    if not isinstance(kind, str):
        return None
    words = {"llama": "SentencePiece", "gpt2": "byte-level BPE"}
    known = f"{kind} ({words[kind]})" if kind in words else kind
    return f"{known}, split as {pre}" if isinstance(pre, str) else known


def _source(model: ConvertibleModel) -> str | None:
    """The source that the file names for its model."""
    found = [value for key in _SOURCE_KEYS if isinstance(value := model.meta(key), str)]
    return found[0] if found else None


def _value_json(item: Value) -> dict[str, Any]:
    if not isinstance(item.value, list):
        return {"type": _type_of(item.type), "value": _printable(item.value)}
    assert item.element_type is not None
    return {
        "type": f"array of {_type_of(item.element_type)}",
        "length": len(item.value),
        "value": [_printable(value) for value in item.value[:_MOST_ITEMS]],
    }


def _value_text(item: Value) -> str:
    if not isinstance(item.value, list):
        text = str(_printable(item.value))
        cut = len(text) - _MOST_CHARACTERS
        text = text.replace("\n", "\\n")
        return f"{text[:_MOST_CHARACTERS]}… ({cut} characters more)" if cut > 0 else text
    shown = ", ".join(repr(_printable(value)) for value in item.value[:_FIRST_ITEMS])
    more = len(item.value) - _FIRST_ITEMS
    return f"[{shown}, … {more:,} more]" if more > 0 else f"[{shown}]"


def _type_of(kind: int) -> str:
    return gguf.GGUFValueType(kind).name.lower()


def _printable(value: Scalar) -> Scalar:
    """A value for terminals and JSON, which allow neither NaN nor bytes that are not UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if isinstance(value, float):
        single = np.float32(value) if abs(value) < _LARGEST else np.float64(value)
        # A float's own digits: 1e-05, not 9.999999747378752e-06.
        exact = float(str(single)) if single == value else value
        return exact if math.isfinite(exact) else str(exact)
    return value
