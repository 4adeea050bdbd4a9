"""The type of the fixture `session`: it returns a result, and the progress that was seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgeprof.shared.types.result import JobResult

Session = Callable[..., tuple[JobResult, list[dict[str, Any]]]]
