"""Remembers the id of each store over restarts, to notice a Redis that was emptied meanwhile."""

from __future__ import annotations

import hashlib
import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Final

from edgeprof.shared import private_files
from edgeprof.shared.telemetry.trouble import Troubles

log = logging.getLogger(__name__)

_FILE: Final = "stores.json"
#: Stores that are remembered; older ones are dropped.
_MOST: Final = 100


class KnownStores:
    """A file in the data folder: hash of a store's URL (which may hold a password) -> its id."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._told = Troubles(log)
        self._kept: tuple[str, str] | None = None

    def recall(self, url: str) -> str:
        """Return the id of the store that was last seen at this URL, or ""."""
        return self._read().get(_name(url), "")

    def keep(self, url: str, store_id: str) -> None:
        """Remember a store's id. When the file cannot be written, one warning is logged."""
        if not store_id or self._kept == (url, store_id):
            return
        known = self._read()
        known.pop(_name(url), None)
        known[_name(url)] = store_id
        newest = dict(list(known.items())[-_MOST:])
        try:
            private_files.write_whole(self._path, json.dumps(newest).encode())
        except OSError as error:
            self._told.say("write", f"{self._path} cannot be written: {error.strerror}")
            return
        self._kept = (url, store_id)

    def _read(self) -> dict[str, str]:
        with suppress(OSError, ValueError):
            known = json.loads(self._path.read_text())
            if isinstance(known, dict):
                return {str(name): str(value) for name, value in known.items()}
        return {}


def _name(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:16]
