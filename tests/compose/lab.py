"""A lab of containers: Redis, scheduler, Flower and three machines with boards."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.compose.engine import DOCKER
from tests.compose.images import ROOT

SERVICES: Final = ("redis", "scheduler", "flower", "worker", "worker-2", "worker-3")
NETWORK: Final = "tlep-test"
FLOWER_LOGIN: Final = ("somebody", secrets.token_hex(16))
_UP_LIMIT_S: Final = 180


class ContainerLab:
    """What docker-compose.yml describes, with two workers more, under a name of its own."""

    def __init__(self, address: str, *, stand_in: bool) -> None:
        files = ["docker-compose.yml", "tests/compose/compose.yml"]
        files += ["tests/compose/stand-in.yml"] if stand_in else []
        spec = importlib.util.find_spec("compose")
        assert spec is not None
        assert spec.origin is not None
        program = str(Path(spec.origin).with_name("docker-compose"))
        self._compose = [program, "--env-file=/dev/null", *(f"--file={file}" for file in files)]
        self._docker = [DOCKER, "--host", address]
        self._environment = {
            "PATH": os.environ["PATH"],
            "DOCKER_HOST": address,
            "REDIS_PASSWORD": secrets.token_hex(16),
            "EDGEPROF_ALERTS_TOKEN": secrets.token_hex(16),
            "EDGEPROF_PAGES_TOKEN": secrets.token_hex(16),
            "EDGEPROF_FLOWER_BASIC_AUTH": ":".join(FLOWER_LOGIN),
        }

    def compose(self, *arguments: str) -> str:
        """Run docker compose, and return what it prints."""
        done = subprocess.run(
            [*self._compose, *arguments],
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout

    def up(self) -> None:
        """Start what is not running; return when all of it is healthy."""
        self.compose("up", "--no-build", "--wait", f"--wait-timeout={_UP_LIMIT_S}", *SERVICES)

    def down(self, *arguments: str) -> None:
        """Remove the containers; their volumes too with --volumes."""
        self.compose("down", "--remove-orphans", *arguments)

    def edgeprof(self, *arguments: str) -> str:
        """Run our command line where users of this lab do."""
        return self.compose("exec", "-T", "scheduler", "edgeprof", *arguments)

    def asked(self, *arguments: str) -> list[dict[str, Any]]:
        """Run it with --json."""
        rows: list[dict[str, Any]] = json.loads(self.edgeprof(*arguments, "--json"))
        return rows

    def address(self, service: str, port: int) -> str:
        """Return where a port of a container is published: host:port."""
        return self.compose("port", service, str(port)).strip()

    def cut_off(self, service: str) -> None:
        """Pull the network cable of a machine."""
        self._network("disconnect", service)

    def plug_in(self, service: str) -> None:
        """Put it back."""
        self._network("connect", service)

    def _network(self, verb: str, service: str) -> None:
        container = self.compose("ps", "--quiet", service).strip()
        subprocess.run([*self._docker, "network", verb, NETWORK, container], check=True)

    def until(self, condition: Callable[[], bool], what: str, limit_s: float = 120) -> None:
        """Wait for something that the lab will show."""
        deadline_s = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < deadline_s, f"not within {limit_s:g} s: {what}"
            time.sleep(0.5)

    def online(self) -> set[str]:
        """Return the boards that can take jobs now."""
        return {board["device_id"] for board in self.asked("boards") if board["state"] != "offline"}
