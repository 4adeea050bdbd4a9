"""Refuses GGUF files that are not a whole llama, e.g. parts, adapters, vocabularies."""

from __future__ import annotations

import re
from pathlib import Path
from reprlib import repr as short_repr
from typing import Final

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models.gguf_header import Header
from edgeprof.shared.models.gguf_values import Scalar
from edgeprof.shared.models.rules import ARCHITECTURE_KEY

ARCHITECTURE: Final = "llama"
#: llama-gguf-split's names.
_SHARD_NAME = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<count>\d{5})\.gguf")
_MODEL = "give the .gguf of the model itself"
#: By general.type, and by architectures that are not language models: name and hint.
_KINDS: Final = {
    "adapter": ("a LoRA adapter", "merge it into its model first: llama-export-lora"),
    "mmproj": ("a projector for images or sound (mmproj)", _MODEL),
    "imatrix": ("an importance matrix of llama.cpp", _MODEL),
    "controlvector": ("a control vector", _MODEL),
    "clip": ("a projector for images or sound (mmproj)", _MODEL),
}


def check(header: Header, path: Path) -> None:
    """Raise ModelError unless this is a whole llama. `path` is used to find the other parts."""
    architecture = _text(header, ARCHITECTURE_KEY)
    kind = _KINDS.get(_text(header, "general.type") or "") or _KINDS.get(architecture or "")
    if kind:
        raise ModelError(f"{kind[0]}, not a model", code="not_a_model", hint=kind[1])
    _check_shard(header, path)
    if not header.tensors:
        what = "metadata"
        if any(key.startswith("tokenizer.") for key in header.metadata):
            what = "a vocabulary (as llama.cpp's tests use)"
        raise ModelError(
            f"{what} without weights: the file has no tensors", code="not_a_model", hint=_MODEL
        )
    if architecture != ARCHITECTURE:
        value = _value(header, ARCHITECTURE_KEY)
        raise ModelError(
            "metadata key 'general.architecture' is missing"
            if value is None
            else f"architecture {short_repr(value)} is not supported",
            code="missing" if value is None else "architecture",
            hint=f"boards compute one architecture: {ARCHITECTURE}",
        )


def _check_shard(header: Header, path: Path) -> None:
    """Refuse a part of a split model; one that is the only part is a whole model."""
    count, number = _value(header, "split.count"), _value(header, "split.no")
    if not isinstance(count, int) or count <= 1:
        return
    part = f"part {number + 1}" if isinstance(number, int) else "a part"
    parts = [f"PART-{i:05}-of-{count:05}.gguf" for i in (1, count)]
    missing = ""
    named = _SHARD_NAME.fullmatch(path.name)
    if named and int(named["count"]) == count:
        names = [f"{named['stem']}-{i:05}-of-{count:05}.gguf" for i in range(1, count + 1)]
        absent = [name for name in names if not (path.parent / name).is_file()]
        missing = f"; not beside it: {_listed(absent)}" if absent else ""
        parts = names
    raise ModelError(
        f"{part} of {count} of a split model, which is {_listed(parts)}{missing}",
        code="not_a_model",
        hint=f"join them: llama-gguf-split --merge {path.parent / parts[0]} MODEL.gguf",
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{names[0]} to {names[-1]}"


def _value(header: Header, key: str) -> Scalar | list[Scalar] | None:
    item = header.metadata.get(key)
    return None if item is None else item.value


def _text(header: Header, key: str) -> str | None:
    value = _value(header, key)
    return value if isinstance(value, str) else None
