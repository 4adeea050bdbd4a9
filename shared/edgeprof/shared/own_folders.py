"""Closes files that older versions left readable for everybody in the folders of the settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from edgeprof.shared import private_files
from edgeprof.shared.settings import Settings

#: Folders in the data folder that are ours, with everything in them.
_DATA_FOLDERS: Final = ("redis", "flower", "undelivered")
_CACHE_FOLDERS: Final = ("models", "slots")
ARCHIVE_FILES: Final = ("results.db", "results.db-wal", "results.db-shm", "results.db-journal")
_LOG_FILES: Final = "profiler-*.jsonl*"


def start_service(settings: Settings) -> None:
    """Prepare a process that only serves, before it makes a file: see `private_files`."""
    private_files.umask_of_a_service()
    tighten(settings)


def tighten(settings: Settings) -> None:
    """Close our files in the folders of the settings. Missing folders are not made."""
    data, cache, logs = (
        Path(os.path.realpath(folder))
        for folder in (settings.data_dir, settings.cache_dir, settings.log_dir)
    )
    for folder in [data / name for name in _DATA_FOLDERS] + [
        cache / name for name in _CACHE_FOLDERS
    ]:
        private_files.tighten_all(folder)
    for path in [data / name for name in ARCHIVE_FILES] + sorted(logs.glob(_LOG_FILES)):
        private_files.tighten(path)
    # In the container images one folder has all.
    inside_data = [folder.name for folder in (cache, logs) if folder.parent == data]
    private_files.tighten_if_only(data, *_DATA_FOLDERS, *ARCHIVE_FILES, *inside_data)
    private_files.tighten_if_only(cache, *_CACHE_FOLDERS)
    private_files.tighten_if_only(logs, _LOG_FILES)
