"""Models that a board did not find in its flash after a write: they are not written for ever.

A board with worn flash fails each job that wants a model there, and each self-test after them. The
note is a file, because a worker that starts anew would begin to count again.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from edgeprof.shared import private_files
from edgeprof.shared.errors import BoardFault, HostFault

#: The second write mends what a disturbance spoilt; a third one would only wear the flash.
_MOST_WRITES: Final = 2
#: So long after the last one, two more are granted: somebody may have mended what was wrong.
_FORGOTTEN_AFTER_S: Final = 24 * 3600.0


class UnverifiedSlots:
    """The writes of one model into one board's flash that the board did not find there."""

    def __init__(self, folder: Path, uid: str, sha256: str) -> None:
        self._file = folder / f"{uid}-{sha256}.unverified"

    def check(self, port: str) -> None:
        """Raise BoardFault when the model was written often enough in vain."""
        try:
            found = self._file.stat()
        except OSError:
            return
        if time.time() - found.st_mtime > _FORGOTTEN_AFTER_S:
            self.verified()
        elif found.st_size >= _MOST_WRITES:
            raise BoardFault(
                f"{port}: the model was put into flash {found.st_size} times, and the board never"
                " found it there: it is not written again",
                code="flash_verify",
                hint="is the flash worn, or the address of `flash` in boards.toml wrong? it is"
                f" written again a day after the last time, or at once without {self._file}",
            )

    def unverified(self) -> None:
        """Note a write that the board did not find. Raises HostFault."""
        try:
            before = self._file.stat().st_size if self._file.exists() else 0
            private_files.write_whole(self._file, b"." * (before + 1))  # its size is their number
        except OSError as error:
            raise HostFault(f"cannot write {self._file}: {error.strerror}", code="disk") from error

    def verified(self) -> None:
        """Forget them."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)
