"""A lab of real processes: embedded Redis, scheduler, host agent with emulated boards.

They use a temporary folder and settings of their own, so a demo neither needs nor disturbs the
user's lab. Only the results are kept: they go to the user's archive.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from edgeprof.cli.demo.children import Children, ignore_signals
from edgeprof.client.lab import Lab
from edgeprof.scheduler.archive import engine
from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.redis import server as redis_server
from edgeprof.shared.settings import Settings
from edgeprof.shared.types.board import BoardInfo, BoardState

_BOARDS_LIMIT_S = 60.0


class DemoLab:
    """A context manager that starts the lab, and stops all of it at the end."""

    def __init__(self, settings: Settings, boards: Mapping[str, str]) -> None:
        """`boards`: the URL of each, by its id."""
        self.boards = boards
        self._user_settings = settings
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder = Path(tempfile.mkdtemp(prefix="edgeprof-demo-"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.settings = self._private_settings()
            # Redis may be stopped by force, because its folder is deleted afterwards.
            stack.callback(redis_server.stop, self.settings, force=True)
            self.redis_url = redis_server.locate(self.settings).url
            theirs = self.settings.model_copy(update={"redis_url": self.redis_url})
            self.lab = stack.enter_context(Lab(settings=self.settings))
            self._children = Children(stack, self.folder)
            boards = str(self._boards_file())
            self._children.edgeprof("scheduler", "scheduler", settings=theirs)
            self._children.edgeprof("worker", "worker", "--boards", boards, settings=theirs)
            stack.callback(
                ignore_signals
            )  # registered last, so it runs first: the stop is not interrupted
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def wait_for_boards(self) -> Iterator[list[BoardInfo]]:
        """Yield the boards that are ready, several times a second, until all are.

        Raises InfrastructureError with the end of the agent's log when some never come.
        """
        deadline_s = time.monotonic() + _BOARDS_LIMIT_S
        while True:
            ready = [b for b in self.lab.boards() if b.state is not BoardState.OFFLINE]
            yield ready
            missing = self.boards.keys() - {board.device_id for board in ready}
            if not missing:
                return
            self.check()
            if time.monotonic() > deadline_s:
                raise InfrastructureError(
                    f"not ready after {_BOARDS_LIMIT_S:.0f} s: {', '.join(sorted(missing))}"
                    f"\n{self._children.tail('worker')}"
                )
            time.sleep(0.2)

    def check(self) -> None:
        """Raise InfrastructureError when a process of the lab has ended by itself."""
        self._children.check()

    def _private_settings(self) -> Settings:
        user = self._user_settings
        return user.model_copy(
            update={
                "redis_url": None,
                "data_dir": self.folder,
                "archive_url": engine.url_of(user),
                # No other agent uses these boards, so their locks may be in the demo's own folder.
                "lock_dir": self.folder / "locks",
                "log_dir": self.folder / "logs",
                "metrics_port": 0,
                "device_metrics_port": 0,
                "scheduler_port": 0,
                "stop_grace_s": 1.0,
            }
        )

    def _boards_file(self) -> Path:
        path = self.folder / "boards.toml"
        entries = (
            f'[[board]]\nid = "{name}"\nurl = "{url}"\n' for name, url in self.boards.items()
        )
        path.write_text("\n".join(entries))
        return path
