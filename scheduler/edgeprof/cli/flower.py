"""The command `edgeprof flower`."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated, Any, Final, NoReturn

import typer

from edgeprof.shared import own_folders, private_files
from edgeprof.shared.errors import InfrastructureError, UsageError
from edgeprof.shared.queue.celery_app import make_app
from edgeprof.shared.redis import server as redis_server
from edgeprof.shared.settings import load_settings
from edgeprof.shared.telemetry.http_gate import Gate, is_loopback
from edgeprof.shared.vital_threads import end_within

#: user:password, several separated by commas. It is no option, because every user of the
#: machine can read a command line.
AUTH_VARIABLE: Final = "EDGEPROF_FLOWER_BASIC_AUTH"

#: How long a stop waits for Flower's threads, which may wait for a stalled Redis.
_STOP_LIMIT_S: Final = 4.0

_COLUMNS: Final = "uuid,args,state,worker,received,runtime"


# Long because Typer reads the options from the signature.
def flower(
    address: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=1, max=65535, metavar="PORT", help="Port to listen on.")
    ] = 5555,
) -> None:
    """Show boards and their tasks in Flower, until Ctrl-C. Set up for this lab's broker.

    Beyond loopback a login is required: EDGEPROF_FLOWER_BASIC_AUTH=user:password. Flower is
    read-only: it could only drop a job's doorbell, and `edgeprof cancel` cancels the job. Its
    history is kept in the data folder. Behind a proxy that serves it below a path, set
    FLOWER_URL_PREFIX=path.

    Example: edgeprof flower --port 5555
    """
    settings = load_settings()
    auth = os.environ.get(AUTH_VARIABLE, "")
    if not auth and not is_loopback(address):
        raise UsageError(
            f"Flower on {address} would be open to the network",
            hint=f"set {AUTH_VARIABLE}=user:password, or listen on 127.0.0.1",
        )
    try:
        from flower import command  # noqa: PLC0415 - an extra

        from edgeprof.scheduler.flower import gate, queues  # noqa: PLC0415
    except ImportError as error:
        raise InfrastructureError(
            f"`edgeprof flower` needs more than the base install: {error}",
            hint="pip install 'tiny-llm-edge-profiler[monitor]'",
        ) from None
    folder = settings.data_dir / "flower"
    own_folders.start_service(settings)  # a library makes the database
    try:
        private_files.make_folder(folder)
    except OSError as error:
        raise InfrastructureError(
            f"Flower keeps what it saw in {folder}: {error.strerror}",
            hint="set EDGEPROF_DATA_DIR to a folder you may write",
        ) from None
    if auth:
        os.environ["FLOWER_BASIC_AUTH"] = auth
    else:  # on loopback, a user who can connect can also read Redis
        os.environ["FLOWER_UNAUTHENTICATED_API"] = "true"
    options: dict[str, Any] = {
        "address": address,
        "port": port,
        "persistent": True,
        "db": folder / "flower.db",
        "state_save_interval": 10_000,
        "read_only": True,
        "max_tasks": 10_000,
        "purge_offline_workers": 86_400,
        "tasks_columns": _COLUMNS,
    }
    app = make_app(redis_server.locate(settings).url)
    gate.install(Gate.of(settings, address))
    queues.install(settings)
    command.sigterm_handler = _stop
    signal.signal(signal.SIGINT, _stop)
    app.start(["flower", *(f"--{name}={value}" for name, value in options.items())])


def _stop(*_: Any) -> NoReturn:
    end_within(_STOP_LIMIT_S)
    sys.exit(0)
