"""Starts Redis, scheduler, agent, Flower, exporters, Prometheus and Alertmanager as processes."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from edgeprof.cli.demo.children import Children, ignore_signals
from edgeprof.client.lab import Lab
from edgeprof.shared import private_files
from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.redis import server as redis_server
from edgeprof.shared.settings import Settings
from edgeprof.shared.types.board import BoardState
from monitoring.lab import config

CELERY_EXPORTER_PYTHON: Final = config.ROOT / "build" / "celery-exporter" / "bin" / "python"

_START_LIMIT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Ports:
    """The port of each program, on loopback."""

    sessions: int
    devices: int
    scheduler: int
    flower: int
    celery_exporter: int
    redis_exporter: int
    prometheus: int
    alertmanager: int

    @classmethod
    def usual(cls) -> Self:
        """Return the usual ports, with a free one in place of each that is taken."""
        return cls(*map(_free_or_other, (8000, 9100, 8001, 5555, 9808, 9121, 9090, 9093)))

    @classmethod
    def free(cls) -> Self:
        """Return free ports."""
        return cls(*(_free_or_other(0) for _ in range(8)))


class MonitoredLab:
    """A context manager that starts a lab with its monitoring, and stops all of it at the end."""

    def __init__(
        self, folder: Path, boards: Mapping[str, str], settings: Settings, ports: Ports
    ) -> None:
        """boards: device id -> URL."""
        self.ports = ports
        self._folder = folder
        self._boards = boards
        self.settings = settings.model_copy(
            update={
                "redis_url": None,
                "data_dir": folder,
                "lock_dir": folder / "locks",
                "log_dir": folder / "logs",
                "metrics_port": ports.sessions,
                "device_metrics_port": ports.devices,
                "scheduler_port": ports.scheduler,
                "alerts_token": secrets.token_hex(24),
                "stop_grace_s": 1.0,
            }
        )
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            private_files.make_folder(self._folder)
            stack.callback(redis_server.stop, self.settings)
            self.redis_url = redis_server.locate(self.settings).url
            self.lab = stack.enter_context(Lab(settings=self.settings))
            self.children = Children(stack, self._folder)
            self._start_lab()
            self._start_watchers()
            self._wait()
            stack.callback(
                ignore_signals
            )  # registered last, so it runs first: the stop is not interrupted
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def url(self, service: str, path: str = "") -> str:
        """Return the URL of a service of `Ports`."""
        return f"http://127.0.0.1:{getattr(self.ports, service)}{path}"

    def _start_lab(self) -> None:
        settings = self.settings.model_copy(update={"redis_url": self.redis_url})
        boards = self._folder / "boards.toml"
        entries = (
            f'[[board]]\nid = "{name}"\nurl = "{url}"\n' for name, url in self._boards.items()
        )
        boards.write_text("\n".join(entries), encoding="utf-8")
        run = self.children.edgeprof
        run("scheduler", "scheduler", settings=settings)
        run("worker", "worker", "--boards", str(boards), settings=settings)
        run("flower", "flower", "--port", str(self.ports.flower), settings=settings)

    def _start_watchers(self) -> None:
        ports, start = self.ports, self.children.start
        environment = {k: v for k, v in os.environ.items() if not k.startswith("REDIS_")}
        start(
            "celery-exporter",
            [
                str(_existing(CELERY_EXPORTER_PYTHON, "make lab")),
                "-c",
                "from src.cli import cli; cli(auto_envvar_prefix='CE')",
                "--broker-transport-option=global_keyprefix=edgeprof:doorbell:",
                "--retry-interval=5",
                "--worker-timeout=30",
                "--host=127.0.0.1",
                f"--port={ports.celery_exporter}",
            ],
            environment
            | {"CE_BROKER_URL": self.redis_url, "PROMETHEUS_DISABLE_CREATED_SERIES": "True"},
        )
        start(
            "redis-exporter",
            [
                _program("prometheus-redis-exporter"),
                "-include-system-metrics",
                f"-web.listen-address=127.0.0.1:{ports.redis_exporter}",
            ],
            environment | {"REDIS_ADDR": self.redis_url},
        )
        addresses = {
            "scheduler:8001": f"127.0.0.1:{ports.scheduler}",
            "localhost:8001": f"localhost:{ports.scheduler}",
            "celery-exporter:9808": f"127.0.0.1:{ports.celery_exporter}",
            "flower:5555": f"127.0.0.1:{ports.flower}",
            "redis-exporter:9121": f"127.0.0.1:{ports.redis_exporter}",
            "localhost:9090": f"127.0.0.1:{ports.prometheus}",
            "alertmanager:9093": f"127.0.0.1:{ports.alertmanager}",
            config.TOKEN_FILE: str(self._token_file()),
        }
        start(
            "alertmanager",
            [
                _program("prometheus-alertmanager"),
                f"--config.file={self._write('alertmanager.yml', config.alertmanager(addresses))}",
                f"--storage.path={self._folder / 'alertmanager'}",
                f"--web.listen-address=127.0.0.1:{ports.alertmanager}",
                "--cluster.listen-address=",
            ],
        )
        start(
            "prometheus",
            [
                _program("prometheus"),
                f"--config.file={self._write('prometheus.yml', config.prometheus(addresses))}",
                f"--storage.tsdb.path={self._folder / 'prometheus'}",
                "--storage.tsdb.retention.time=7d",
                "--enable-feature=exemplar-storage",
                f"--web.listen-address=127.0.0.1:{ports.prometheus}",
            ],
        )

    def _write(self, name: str, text: str) -> Path:
        path = self._folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def _token_file(self) -> Path:
        """Write the token that Alertmanager sends to the scheduler. Return the path of the file."""
        path = self._folder / "alerts-token"
        with open(path, "w", encoding="utf-8", opener=private_files.opener) as file:
            file.write(str(self.settings.alerts_token))
        return path

    def _wait(self) -> None:
        """Wait until everything answers. Raises InfrastructureError that names what does not."""
        conditions: dict[str, Callable[[], bool]] = {
            "boards": self._boards_are_there,
            "scheduler": lambda: answers(self.url("scheduler", "/health")),
            "flower": lambda: answers(self.url("flower", "/healthcheck")),
            "celery-exporter": lambda: answers(self.url("celery_exporter", "/health")),
            "redis-exporter": lambda: answers(self.url("redis_exporter", "/health")),
            "alertmanager": lambda: answers(self.url("alertmanager", "/-/ready")),
            "prometheus": lambda: answers(self.url("prometheus", "/-/ready")),
        }
        deadline_s = time.monotonic() + _START_LIMIT_S
        for name, holds in conditions.items():
            while not holds():
                self.children.check()
                if time.monotonic() > deadline_s:
                    log = "worker" if name == "boards" else name
                    raise InfrastructureError(
                        f"{name}: not ready after {_START_LIMIT_S:.0f} s\n{self.children.tail(log)}"
                    )
                time.sleep(0.1)

    def _boards_are_there(self) -> bool:
        ready = {b.device_id for b in self.lab.boards() if b.state is not BoardState.OFFLINE}
        return self._boards.keys() <= ready


def answers(url: str) -> bool:
    """Whether an HTTP GET succeeds."""
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _free_or_other(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return _free_or_other(0)
        return int(probe.getsockname()[1])


def _program(name: str) -> str:
    if found := shutil.which(name):
        return found
    raise InfrastructureError(f"{name} is not installed", hint=f"apt-get install {name}")


def _existing(path: Path, target: str) -> Path:
    if path.is_file():
        return path
    raise InfrastructureError(f"{path} does not exist", hint=f"{target} makes it")
