"""What the parts of a lab have logged so far, read while they log on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def log_records(folder: Path, pattern: str = "*.jsonl") -> Iterator[dict[str, Any]]:
    """Yield the records of all log files; a last line that is half written is left for later."""
    for path in folder.glob(pattern):
        text = path.read_text()
        for line in text[: text.rfind("\n") + 1].splitlines():
            yield json.loads(line)
