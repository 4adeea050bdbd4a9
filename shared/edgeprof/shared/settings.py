"""Every setting of the lab: one environment variable each, `EDGEPROF_<NAME>`.

The table in the documentation is made from the descriptions below.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, Self, TypeVar

import platformdirs
from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from edgeprof.shared.errors import Fault, FaultClass, UsageError
from edgeprof.shared.identity import host_name
from edgeprof.shared.types.wire import Name
from edgeprof.shared.validation import first_error

#: A board that rebooted or hung needs a longer pause than a faulty line.
_BACKOFF_FACTORS: Final = {FaultClass.HOST: 1, FaultClass.LINK: 2, FaultClass.BOARD: 5}


def _data_dir() -> Path:
    return _in_home(platformdirs.user_data_dir)


def _cache_dir() -> Path:
    return _in_home(platformdirs.user_cache_dir)


def _in_home(named: Callable[..., str]) -> Path:
    """Return a folder in the user's home. Without a home platformdirs fails, or returns "~/…"."""
    with suppress(RuntimeError):
        folder = Path(named("edgeprof", appauthor=False))
        if folder.is_absolute():
            return folder
    raise UsageError(
        f"no home folder: HOME is no absolute path, and user {os.getuid()} has none in the passwd"
        " file",
        hint="set HOME, or EDGEPROF_DATA_DIR and EDGEPROF_CACHE_DIR",
    )


Seconds = Annotated[float, Field(gt=0)]
#: A base of links: no user, no query.
LINK_BASE: Final = r"^https?://[A-Za-z0-9._:\[\]-]{1,255}(/[A-Za-z0-9._/-]{0,200})?$"
Port = Annotated[int, Field(ge=0, le=65535)]
#: Names of machines, separated by commas.
Names = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*(, ?[A-Za-z0-9._-]+)*$")]
#: A number, then platform=number, separated by commas.
Floors = Annotated[
    str,
    Field(
        pattern=r"^[0-9]+(\.[0-9]+)?(,[A-Za-z0-9][A-Za-z0-9._-]*=[0-9]+(\.[0-9]+)?)*$",
    ),
]


Kind = TypeVar("Kind", bound=BaseSettings)


class Settings(BaseSettings):
    """Read once at the start of a command and passed on; nothing else reads the environment."""

    model_config = SettingsConfigDict(
        env_prefix="EDGEPROF_", env_ignore_empty=True, frozen=True, extra="ignore"
    )

    redis_url: str | None = Field(
        None,
        repr=False,
        description="Redis that holds the jobs: redis://, rediss:// (TLS), unix:// or"
        " redis+sentinel://host,host/0?master=NAME."
        " Unset: an embedded redis-server in the data folder.",
    )
    data_dir: Path = Field(
        default_factory=_data_dir,
        description="Folder for what must survive: the embedded Redis and the results archive.",
    )
    cache_dir: Path = Field(
        default_factory=_cache_dir,
        description="Folder for what can be fetched again: model files, by SHA-256.",
    )
    archive_url: str | None = Field(
        None,
        repr=False,
        description="SQLAlchemy URL of the results archive."
        " Unset: SQLite file results.db in the data folder.",
    )
    archive_keep_days: float | None = Field(
        None,
        gt=0,
        description="How long the results archive keeps a finished job, in days; the scheduler"
        " deletes older ones. Unset: for ever.",
    )
    host: Name = Field(
        default_factory=host_name,
        description="Name of this machine in board lists, results and metrics. Unset: its host"
        " name, spelled in letters, digits, dots, dashes and underscores.",
    )
    lock_dir: Path = Field(
        Path("/tmp/edgeprof-locks"),  # noqa: S108 - host-wide by design: all users share the boards
        description="Host-wide folder of board locks; every agent of a machine must use the same.",
    )
    firmware_dir: Path | None = Field(
        None,
        description="Folder with built firmware for emulated boards."
        " Unset: what is packed into the wheel, or firmware/build of the checkout.",
    )

    lease_s: Seconds = Field(
        15.0,
        description="A board worker that has not renewed its job for so long is taken for dead.",
    )
    custodian_interval_s: Seconds = Field(
        1.0,
        description="How often the custodian looks for dead workers, lost doorbells, late jobs.",
    )
    doorbell_grace_s: Seconds = Field(
        2.0,
        description="How long a doorbell may go unanswered before the custodian sends it again.",
    )
    board_ttl_s: Seconds = Field(
        15.0, description="A board not announced for so long is shown as offline."
    )
    probe_interval_s: Seconds = Field(
        5.0, description="Longest pause between two looks for an absent board."
    )
    port_look_s: Seconds = Field(
        30.0,
        description="First pause before a watched port is looked at again where no board of ours"
        " answered. Each pause is twice the one before: up to 2 times the first where a board of"
        " ours was once seen, up to 20 times elsewhere.",
    )
    stop_grace_s: Seconds = Field(
        2.5,
        description="How long a stopping agent lets a running job go on before it hands it back."
        " It is gone 2.5 s later at the latest, whatever Redis and boards do.",
    )
    store_patience_s: Seconds = Field(
        60.0, description="How long a waiting client keeps trying to reach Redis."
    )
    result_ttl_s: Seconds = Field(
        7 * 86400.0,
        description="How long an archived job also stays in Redis; the archive keeps it for good.",
    )
    blob_limit_bytes: int = Field(
        64 * 1024 * 1024, gt=0, description="Largest model file that travels through Redis."
    )
    blob_ttl_s: Seconds = Field(
        2 * 86400.0,
        description="How long an unused model file stays in Redis, counted from the last deadline"
        " of a job that needs it.",
    )

    metrics_bind: str = Field(
        "127.0.0.1",
        description="Address on which host agent and scheduler serve metrics; 0.0.0.0 for all.",
    )
    metrics_advertise: str | None = Field(
        None,
        description="Name or address under which Prometheus reaches this host."
        " Unset: the bind address, or the machine's full name when that is 0.0.0.0.",
    )
    http_names: Names = Field(
        "",
        description="More names, separated by commas, under which the pages of this machine"
        " (agents, scheduler, Flower) may be asked for. Without a setting: localhost,"
        " EDGEPROF_HOST, the two addresses above, and any IP address. Other names are refused:"
        " a web page elsewhere could have its own name lead here.",
    )
    alerts_token: str | None = Field(
        None,
        repr=False,
        pattern=r"^[!-~]+$",
        max_length=1000,
        description="Bearer token that Alertmanager has to send to the scheduler's /alerts; e.g. of"
        " `openssl rand -hex 24`. Unset: alerts are taken from this machine only, as long as"
        " EDGEPROF_METRICS_BIND is a loopback address.",
    )
    pages_token: str | None = Field(
        None,
        repr=False,
        pattern=r"^[!-~]+$",
        min_length=12,
        max_length=1000,
        description="Token that readers of the scheduler's pages and of its API have to show: a"
        " browser's user as the password with any user name, a program as a bearer token; e.g. of"
        " `openssl rand -hex 24`. Unset: they are read from this machine only, as long as"
        " EDGEPROF_METRICS_BIND is a loopback address.",
    )
    metrics_port: Port = Field(
        8000,
        description="Port of the host agent's /metrics of sessions and models. When it is taken,"
        " and for 0, a free one: service discovery tells Prometheus which.",
    )
    device_metrics_port: Port = Field(
        9100, description="Port of the host agent's /metrics of devices; as EDGEPROF_METRICS_PORT."
    )
    scheduler_port: Port = Field(
        8001,
        description="Port of the scheduler's pages and API, /metrics, /targets (service discovery)"
        " and /health; 0: a free one.",
    )
    pages_url: Annotated[str, Field(pattern=LINK_BASE)] | None = Field(
        None,
        description="Base of links to the scheduler's pages, as browsers reach them, where that"
        " differs from its address: behind a published port of a container, or a proxy; e.g."
        " http://localhost:8001.",
    )
    quarantine_after: int = Field(
        3,
        ge=1,
        description="Attempts in a row that fail for board or link reasons before a board is"
        " quarantined.",
    )
    retry_backoff_s: float = Field(
        1.0,
        ge=0,
        description="How long a job that no other board could take waits before its second attempt:"
        " so long after a host fault, twice as long after a link fault, five times after a board's."
        " Doubled for each further attempt, at most a minute.",
    )
    selftest_quarantine_interval_s: float = Field(
        60.0,
        gt=0,
        description="Pause between two self-tests of a quarantined board; the first one it passes"
        " brings it back.",
    )
    selftest_routine_interval_s: float = Field(
        6 * 3600.0,
        gt=0,
        description="Pause between two self-tests of an idle board that works; each one is also"
        " tested when its worker starts. One that fails is quarantined.",
    )
    selftest_clock_s: float = Field(
        60.0,
        gt=0,
        description="How long `edgeprof boards test --thorough` compares a board's clock with the"
        " host's.",
    )
    temperature_limit_c: float = Field(
        85.0,
        description="Above this a board is too hot, degrees Celsius: in the log, in the alert"
        " DeviceOverheating and on its dashboard.",
    )
    low_throughput: Floors = Field(
        "1",
        description="Decode tokens/s below which LowThroughput fires, and exceptions by platform;"
        " e.g. 1,riscv32-virt=0.1.",
    )

    log_dir: Path = Field(
        Path("logs"),
        description="Folder for the JSON-lines logs of agents, workers and scheduler, one file a"
        " process; made when it is missing.",
    )
    log_level: str = Field(
        "INFO",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        description="Lowest level logged: DEBUG, INFO, WARNING or ERROR.",
    )
    trace_ui: str | None = Field(
        None,
        description="Base URL of the trace viewer, to print a link beside a trace id;"
        " e.g. http://localhost:16686.",
    )

    @model_validator(mode="after")
    def _lease_outlives_a_heartbeat(self) -> Self:
        if self.lease_s < 1:
            raise ValueError("EDGEPROF_LEASE_S must be at least 1: workers renew by the second")
        return self

    @property
    def heartbeat_s(self) -> float:
        """Pause between two renewals: a third of the lease, at most a second to notice a cancel."""
        return min(self.lease_s / 3, 1.0)

    def backoff_s(self, fault: Fault) -> float:
        """Return the backoff after a first attempt that ended with this fault."""
        return (
            0.0
            if fault.graceful_stop
            else self.retry_backoff_s * _BACKOFF_FACTORS.get(fault.fault_class, 0)
        )

    def low_throughput_of(self, platform: str) -> float:
        """Return the decode tokens/s below which a platform counts as slow."""
        default, *exceptions = self.low_throughput.split(",")
        named = dict(entry.split("=") for entry in exceptions)
        return float(named.get(platform, default))

    @property
    def advertised_address(self) -> str:
        """Name or address under which others reach this host's pages."""
        if self.metrics_advertise is not None:
            return self.metrics_advertise
        everywhere = self.metrics_bind in {"0.0.0.0", "::", ""}  # noqa: S104 - compared, not bound
        return socket.getfqdn() if everywhere else self.metrics_bind

    def as_environment(self) -> dict[str, str]:
        """Return the variables that give a child process the same settings."""
        values = self.model_dump(mode="json", exclude_none=True)
        return {f"EDGEPROF_{name.upper()}": str(value) for name, value in values.items()}


def load_settings() -> Settings:
    """Read the environment; a bad value is a UsageError that names its variable."""
    return load(Settings)


def load(kind: type[Kind]) -> Kind:
    """Read settings of this kind, as load_settings does."""
    try:
        return kind()
    except ValidationError as error:
        first = first_error(error)
        variable = "EDGEPROF_" + "_".join(map(str, first.path)).upper()
        raise UsageError(f"{variable.rstrip('_')}: {first.message}") from None
