"""The bundled models, and finding a model by name or path."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from reprlib import repr as short_repr

from edgeprof.shared.errors import UsageError
from edgeprof.shared.models.file import ConvertibleModel, ModelFile


def bundled_dir() -> Path:
    """Return the bundled models' folder: beside this module in a wheel, models/ in a checkout."""
    here = Path(__file__).parent
    if any(here.glob("*.gguf")):
        return here
    return here.parents[3] / "models"


@cache  # the names only, which a thousand jobs ask for; the files are read each time
def bundled() -> Mapping[str, Path]:
    """Return the bundled models by name: the file's name without its type."""
    return {path.stem.rsplit("-", 1)[0]: path for path in sorted(bundled_dir().glob("*.gguf"))}


def resolve(name_or_path: str | Path) -> ModelFile:
    """Open a bundled model by name, or any file that boards can run.

    Raises UsageError that lists the bundled models, or ModelError.
    """
    return resolve_source(name_or_path).runnable()


def resolve_source(name_or_path: str | Path) -> ConvertibleModel:
    """Open a bundled model by name, or any file that can be converted. Raises as resolve() does."""
    return ConvertibleModel.open(locate(name_or_path))


def locate(name_or_path: str | Path) -> Path:
    """Return the file of a bundled model's name, or of a path. Raises UsageError.

    A str is a name first, then a path; a Path is a path first.
    """
    text = str(name_or_path)
    known = bundled()
    if text in known and not (isinstance(name_or_path, Path) and name_or_path.is_file()):
        return known[text]
    path = Path(os.path.expanduser(text))  # noqa: PTH111 - that of Path fails for a user without a home
    try:
        if path.is_file():
            return path
        if path.is_dir():
            raise UsageError(f"{text} is a folder, not a model", hint=_in_folder(path))
    except OSError as error:  # a name that is too long, or a folder that may not be read
        raise UsageError(f"{short_repr(text)}: cannot read: {error.strerror}") from None
    raise UsageError(
        f"no model {text!r}: neither a bundled model nor a file",
        hint=f"bundled: {', '.join(known) or 'none'}; or give the path of a GGUF file",
    )


def _in_folder(folder: Path) -> str:
    """Return the hint for a folder that was given as a model."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        names = []
    files = [name for name in names if name.endswith(".gguf")]
    if files:
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""
        return f"give one of the files in it: {', '.join(files[:3])}{more}"
    if "config.json" in names:
        return f"a Hugging Face folder: edgeprof models import {folder} -o MODEL.gguf"
    return "give the path of a GGUF file"


def list_models() -> list[ModelFile]:
    """Open all bundled models."""
    return [ModelFile.open(path) for path in bundled().values()]
