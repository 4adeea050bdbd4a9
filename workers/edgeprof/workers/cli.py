"""`edgeprof worker`: drive the boards of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import edgeprof.workers.production  # noqa: F401 - a missing extra is told here, once, not by every worker
from edgeprof.shared import logs, redis_server
from edgeprof.shared import redis_url as redis_url_is
from edgeprof.shared.errors import UsageError
from edgeprof.shared.redis_url import masked
from edgeprof.shared.settings import load_settings
from edgeprof.workers.agent import Agent
from edgeprof.workers.config import load_boards


def worker(
    boards: Annotated[
        Path | None, typer.Option(help="TOML file with the boards of this machine.")
    ] = None,
    board: Annotated[
        list[str] | None,
        typer.Option(help="URL of a board, e.g. native://?uid=01, qemu://stm32f405; repeatable."),
    ] = None,
    redis_url: Annotated[
        str | None,
        typer.Option(help="Redis of the lab, without a password. Default: EDGEPROF_REDIS_URL."),
    ] = None,
) -> None:
    """Take jobs for the boards of this machine, until Ctrl-C.

    Without --boards and --board: for every board that is plugged in, now or later (/dev/serial/by-id).

    Example: edgeprof worker --board /dev/serial/by-id/usb-... --board 'native://?uid=01'
    """
    settings = load_settings()
    if redis_url is not None:
        redis_url_is.scheme(redis_url)
        if masked(redis_url) != redis_url:
            raise UsageError(
                "everybody on this machine can read the password of --redis-url",
                hint="set EDGEPROF_REDIS_URL instead",
            )
        settings = settings.model_copy(update={"redis_url": redis_url})
    wanted = load_boards(boards, board or [])
    logs.configure(settings, "edgeprof-agent")
    redis_server.connect(settings).close()  # a wrong URL is told here, once, not by every worker
    typer.echo(f"lab: {masked(redis_server.locate(settings).url)}", err=True)
    Agent(wanted, settings).run()
