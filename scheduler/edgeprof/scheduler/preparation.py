"""From what a user names to what a board can take: the file, the type, the token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeprof.shared.errors import UsageError
from edgeprof.shared.jobs import MAX_PROMPT_TOKENS, ModelRef, Quantization
from edgeprof.shared.models import ModelFile, catalogue, quantized
from edgeprof.shared.settings import Settings

#: From a sonnet of Shakespeare: public domain, and of the kind the bundled models know.
STANDARD_PROMPT = (
    "Shall I compare thee to a summer's day?\nThou art more lovely and more temperate:\n"
)


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """A model file that was read and checked, in the type that was asked for."""

    ref: ModelRef
    path: Path
    file: ModelFile


class Preparer:
    """Prepares each model once; a sweep names the same few again and again."""

    def __init__(self, settings: Settings) -> None:
        self._cache_dir = settings.cache_dir
        self._prepared: dict[tuple[str, str | None], PreparedModel] = {}
