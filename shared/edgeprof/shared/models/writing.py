"""Writes a GGUF so that a file under its final name is always whole and passes our own checks."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import gguf

from edgeprof.shared import private_files
from edgeprof.shared.errors import HostFault, ModelError, UsageError
from edgeprof.shared.models.file import ModelFile


def write_gguf(
    out: Path, fill: Callable[[gguf.GGUFWriter], None], *, sources: Sequence[Path] = ()
) -> ModelFile:
    """Write `out` by way of a file beside it that is checked first; returns it opened.

    Raises UsageError when `out` is one of the `sources` it is made from, by whatever name,
    HostFault when it cannot be written, and ModelError when the written file is not a usable model;
    then `out` is left as it was.
    """
    for source in sources:
        if out.exists() and out.samefile(source):
            raise UsageError(
                f"{out} is the file to convert from, which is never replaced",
                hint="give another name with --out",
            )
    if out.exists() and not out.is_file():  # a device would be replaced by a file
        raise HostFault(f"cannot write {out}: it is not a regular file", code="unwritable")
    part = out.with_name(f".{out.name}.{uuid.uuid4().hex}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            writer = gguf.GGUFWriter(part, "llama")
            fill(writer)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
            _check(part, out)
            private_files.put_in_place(part, out)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        # numpy has no reason when the space ends in the middle of an array.
        reason = error.strerror or f"no space for all of it ({error})"
        raise HostFault(f"cannot write {out}: {reason}", code="unwritable") from error
    return ModelFile.open(out)


def _check(part: Path, out: Path) -> None:
    """Raise ModelError, under the final name, unless the written file is a usable model."""
    try:
        ModelFile.open(part)
    except ModelError as error:
        said = str(error).replace(str(part), str(out), 1)
        raise ModelError(said, code=error.code, hint=error.hint) from None
