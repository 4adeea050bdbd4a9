"""A Hugging Face folder, imported as the product does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeprof.shared.models.importing import import_model


def imported(folder: Path, work: Path) -> Any:
    return import_model(folder, None, work)
