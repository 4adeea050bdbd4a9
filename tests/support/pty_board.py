"""A native board on a pty, behind a name as udev makes it: can be pulled, and plugged in again."""

from __future__ import annotations

import os
import pty
import subprocess
import tty
from pathlib import Path
from types import TracebackType
from typing import Self

from edgeprof.workers.emulated.child import firmware_image
from tests.support.retired_ptys import retire


class PtyBoard:
    """The process, the tty and its name come and go together."""

    def __init__(self, folder: Path, uid: str, line_rate: int, *options: str) -> None:
        self.path = folder / f"usb-board-{uid}"
        self.device_id = f"native-{uid}"
        self._options = ["--uid", uid, "--line-rate", str(line_rate), *options]

    def plug_in(self) -> None:
        """Start the board, and let its tty appear."""
        board_end, self._host_end = pty.openpty()
        tty.setraw(self._host_end)
        firmware = str(firmware_image("tlep-native", "native"))
        self._process = subprocess.Popen(
            [firmware, "--fd", str(board_end), *self._options],
            stdin=subprocess.DEVNULL,
            pass_fds=(board_end,),
        )
        os.close(board_end)
        self.path.symlink_to(os.ttyname(self._host_end))

    def pull(self) -> None:
        """Take all of it away: who has the tty open is hung up on."""
        retire(os.ttyname(self._host_end))
        self.path.unlink()
        self._process.kill()
        self._process.wait()
        os.close(self._host_end)

    def __enter__(self) -> Self:
        self.plug_in()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.pull()
