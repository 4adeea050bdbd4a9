"""Makes the record that the lab has of a board, from its HELLO, boards.toml and this host."""

from __future__ import annotations

from edgeprof.shared.errors import BoardFault, HostFault
from edgeprof.shared.own_version import own_version
from edgeprof.shared.settings import Settings
from edgeprof.shared.types.board import BoardInfo, BoardState
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.protocols import Hello


def describe(hello: Hello, config: BoardConfig, settings: Settings) -> BoardInfo:
    """Return the board's record for the lab.

    Raises BoardFault "wrong_platform" when boards.toml asks for a board of another kind, and
    HostFault "hello" for a description that the lab cannot use.
    """
    if config.platform not in {None, hello.platform}:
        raise BoardFault(
            f"the board on {config.url} is a {hello.platform}, not a {config.platform}",
            code="wrong_platform",
            hint="correct boards.toml, or plug in the board it means",
        )
    try:
        return BoardInfo(
            device_id=config.id or f"{hello.platform}-{hello.uid[:8]}",
            platform=hello.platform,
            host=settings.host,
            url=config.port,
            baud=config.baud,
            tags=config.tags,
            agent_version=own_version(),
            uid=hello.uid,
            state=BoardState.BUSY,  # until its worker has tested it
            **hello.firmware_and_clock(),
            regions=hello.regions,
            kernels=hello.kernels,
            n_ctx_max=hello.n_ctx_max,
            can_flash=hello.can_flash,
            can_upload=hello.can_upload,
        )
    except ValueError as error:
        raise HostFault(
            f"the board on {config.url} describes itself in words we cannot use: {error}",
            code="hello",
        ) from None


def log_fields(info: BoardInfo) -> dict[str, str]:
    """Return the fields that every log line about a board carries."""
    return {
        "device_id": info.device_id,
        "platform": info.platform,
        "port": info.url,
        "firmware_version": info.firmware_version,
    }


def node_name(info: BoardInfo) -> str:
    """Return the Celery node's name of a board's worker.

    Exporters cut names like `celery@host` down to the host, and would count all boards as one.
    """
    return f"w@{info.device_id}.{info.host}"
