"""Finds the very model that a finished job has run, by its content, wherever it still is.

A name is never enough: every file is hashed before it counts as found.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from edgeprof.shared import private_files
from edgeprof.shared.errors import EdgeprofError, ModelError, UsageError
from edgeprof.shared.models import ConvertibleModel, ModelFile, catalogue, quantized
from edgeprof.shared.models.quantize import head_in
from edgeprof.shared.store.blobs import BlobStore
from edgeprof.shared.types.model import ModelRef


class ModelFinder:
    """Looks into the caches of this machine, the lab's Redis, and the bundled models."""

    def __init__(self, cache_dir: Path, blobs: BlobStore | None) -> None:
        """Without `blobs` the lab's Redis is not asked."""
        self._folder = cache_dir / "models"
        self._blobs = blobs

    def find(self, wanted: ModelRef, given: Path | None = None) -> ModelFile:
        """Return the file. `given` is the file itself, or the one that it was quantized from.

        Raises UsageError when it is nowhere, or when `given` is another model.
        """
        if given is not None:
            made = self._made_of(ConvertibleModel.open(catalogue.locate(given)), wanted)
            if made is None:
                raise UsageError(
                    f"{given} is neither the file that the job ran ({wanted.sha256[:12]}) nor what"
                    f" it was made of{_source(wanted)}",
                    hint="models are compared by content; a file that was trained on is another",
                )
            return made
        for found in self._places(wanted):
            if (made := self._made_of(found, wanted)) is not None:
                return made
        raise UsageError(
            f"the file of {wanted.name} {wanted.made_as} ({wanted.sha256[:12]}) is neither in the"
            " caches nor in Redis any more",
            hint=f"-m FILE names it, or the one it was made of{_source(wanted)}",
        )

    def keep(self, sha256: str, content: bytes) -> Path:
        """Put a model's bytes, whose hash the caller has checked, where find() looks."""
        path = self._folder / f"{sha256}.gguf"
        private_files.write_whole(path, content)
        return path

    def _places(self, wanted: ModelRef) -> Iterator[ConvertibleModel]:
        """Yield models that may be it, likeliest first; what cannot be read is passed over."""
        yield from self._cached(wanted.sha256)
        if self._blobs is not None:
            with contextlib.suppress(EdgeprofError, OSError):
                if self._blobs.size(wanted.sha256) == wanted.size_bytes:
                    content = self._blobs.get(wanted.sha256) or b""
                    yield ConvertibleModel.open(self.keep(wanted.sha256, content))
        if wanted.source is None:
            return
        yield from self._cached(wanted.source.sha256)
        for path in catalogue.bundled().values():
            yield ConvertibleModel.open(path)

    def _cached(self, sha256: str) -> Iterator[ConvertibleModel]:
        for path in sorted(self._folder.glob(f"*{sha256}*.gguf")):
            with contextlib.suppress(ModelError, OSError):
                yield ConvertibleModel.open(path)

    def _made_of(self, found: ConvertibleModel, wanted: ModelRef) -> ModelFile | None:
        """Return the wanted model if `found` is it, or gives it when it is quantized again."""
        if found.sha256 == wanted.sha256:
            return replace(found.runnable(), name=wanted.name)
        origin = wanted.source and wanted.source.sha256
        if origin not in (found.sha256, found.source.sha256):
            return None
        made = quantized(found, wanted.quantization, self._folder, head_in(wanted.name)[1])
        if made.sha256 != wanted.sha256:
            return None  # another version of edgeprof made it
        return replace(made, name=wanted.name)


def _source(wanted: ModelRef) -> str:
    source = wanted.source
    return f", {source.file} ({source.sha256[:12]})" if source is not None else ""
