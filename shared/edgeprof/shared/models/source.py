"""Where a model's weights come from: the first file, and the types they had since.

A name and a type do not show it: a Q8_0 made of Q4_0 has the errors of Q4_0. Files that we write
have it in three metadata keys, which other programs ignore.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import gguf
from pydantic import ValidationError

from edgeprof.shared.models.gguf_values import Value
from edgeprof.shared.types.model import ModelSource

_FILE, _SHA256, _CHAIN = (f"edgeprof.source.{key}" for key in ("file", "sha256", "chain"))
KEYS = frozenset({_FILE, _SHA256, _CHAIN})

#: The type at the end of file names, by GGUF's naming convention: "stories260K-Q8_0", "tiny.f16".
_TYPE_SUFFIX = re.compile(r"[-._](?:b?f16|f32|f64|t?q\d_\w+|iq\d_\w+|mxfp4\w*)$", re.IGNORECASE)


def name_of(path: Path) -> str:
    """Return the name of a model in this file: the file's name, without its type.

    Not the file's own general.name: converters call every model "llama" there.
    """
    stem = _TYPE_SUFFIX.sub("", path.stem) or path.stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:64].strip("-._") or "model"


def source_of(
    metadata: Mapping[str, Value], path: Path, sha256: str, weight_type: str
) -> ModelSource:
    """Return the source that the file's keys give; a file without them is its own source."""
    said = {key.rpartition(".")[2]: metadata[key].value for key in KEYS & set(metadata)}
    try:
        source = ModelSource.model_validate(said)
    except ValidationError:  # malformed: another program wrote them
        return ModelSource(file=_readable(path.name), sha256=sha256, chain=(weight_type,))
    if source.chain[-1] == weight_type:
        return source
    # Another program converted it since, and kept the keys.
    return source.converted(weight_type)


def write_source(writer: gguf.GGUFWriter, source: ModelSource) -> None:
    """Write the keys that source_of() reads."""
    writer.add_string(_FILE, source.file)
    writer.add_string(_SHA256, source.sha256)
    writer.add_array(_CHAIN, list(source.chain))


def source_of_import(file: Path, sha256: str, weight_type: str) -> ModelSource:
    """Return the source of an imported model, whose weights become F32."""
    chain = (weight_type,) if weight_type == "F32" else (weight_type, "F32")
    return ModelSource(file=_readable(file.resolve().name), sha256=sha256, chain=chain)


def _readable(name: str) -> str:
    """Return a file's name as text that JSON can hold: names need not be UTF-8."""
    text = os.fsencode(name).decode("utf-8", errors="replace")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
