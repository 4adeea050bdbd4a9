"""`edgeprof worker`: drive the boards of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

# The packages of the extra "worker": a missing one is reported once, here, not by every worker.
import cbor2  # noqa: F401
import serial  # noqa: F401
import typer
from cobs import cobs  # noqa: F401

from edgeprof.shared import own_folders
from edgeprof.shared.errors import UsageError
from edgeprof.shared.redis import server as redis_server
from edgeprof.shared.redis import url as redis_url_is
from edgeprof.shared.redis.url import masked
from edgeprof.shared.settings import load_settings
from edgeprof.shared.telemetry import logs
from edgeprof.workers.board.config import check_ports, load_boards
from edgeprof.workers.host.agent import Agent


def worker(
    boards: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file with the boards of this machine.")
    ] = None,
    board: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="Port or URL of a board, e.g. /dev/ttyACM0, native://?uid=01, qemu://stm32f405,"
            " rfc2217://HOST:PORT (ser2net); repeatable.",
        ),
    ] = None,
    redis_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Redis of the lab, without a password. Default: EDGEPROF_REDIS_URL."
        ),
    ] = None,
) -> None:
    """Take jobs for the boards of this machine, until Ctrl-C.

    Without --boards and --board, every board that is plugged in, now or later, is driven
    (/dev/serial/by-id).

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
    check_ports(wanted, boards, board or [])
    own_folders.start_service(settings)
    logs.configure(settings, "edgeprof-agent")
    redis_server.connect(settings).close()  # a wrong URL is reported once, here
    typer.echo(f"lab: {masked(redis_server.locate(settings).url)}", err=True)
    Agent(wanted, settings).run()
