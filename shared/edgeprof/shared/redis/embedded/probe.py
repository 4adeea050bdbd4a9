"""Asks a server for its condition with INFO; an error is an answer, too."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from redis import Redis, exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from edgeprof.shared.errors import StoreUnavailable
from edgeprof.shared.redis.embedded import files
from edgeprof.shared.redis.embedded.owner import Owner, works_in
from edgeprof.shared.sanitize import one_line


class Condition(StrEnum):
    """The condition of a server."""

    READY = "ready"
    LOADING = "loading"
    #: Nothing listens on its port, yet or any more.
    NOT_LISTENING = "not listening"
    SILENT = "silent"
    #: It answers with an error: a script does not end, or there are too many clients.
    FAILING = "failing"
    #: It refuses the password that we remember.
    DENIED = "denied"
    #: Another program answers on the port, or the Redis of another folder.
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a server, or what came instead."""

    server: files.Server
    condition: Condition
    #: How much of its file it has read, while it loads; percent.
    loaded: str = ""
    #: Whether its disk is full; then so many acknowledged bytes are in its memory only.
    cannot_write: bool = False
    unwritten_bytes: int = 0
    #: Its error message.
    error: str = ""


def ask(server: files.Server, owner: Owner, folder: Path, answer_s: float) -> Answer:
    """Ask once, with INFO: unlike PING it is answered during loading, and when the disk is full."""
    redis = Redis(
        host="127.0.0.1",
        port=server.port,
        password=server.password,
        socket_timeout=answer_s,
        socket_connect_timeout=answer_s,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        info: dict[str, Any] = redis.info()
    except exceptions.AuthenticationError:
        return Answer(server, Condition.DENIED)
    except exceptions.TimeoutError:
        return Answer(server, Condition.SILENT)
    except exceptions.NoPermissionError:
        return Answer(server, Condition.DENIED)
    except exceptions.InvalidResponse:
        return Answer(server, Condition.FOREIGN)
    except (exceptions.ConnectionError, OSError) as error:
        if "max number of clients" in str(error):
            return Answer(server, Condition.FAILING, error=str(error))
        lost = "closed by server" in str(error) or isinstance(error.__context__, ConnectionError)
        return Answer(server, Condition.NOT_LISTENING if lost else Condition.FOREIGN)
    except exceptions.RedisError as error:
        return Answer(server, Condition.FAILING, error=one_line(str(error)))
    finally:
        redis.close()
    pid = int(info.get("process_id", 0))
    if owner.seen and not owner.calls_itself(pid) and not works_in(pid, folder):
        return Answer(server, Condition.FOREIGN)
    loading = bool(info.get("loading", 0))
    return Answer(
        server,
        Condition.LOADING if loading else Condition.READY,
        f"{float(info.get('loading_loaded_perc', 0)):.0f} %" if loading else "",
        info.get("aof_last_write_status", "ok") != "ok",
        int(info.get("aof_buffer_length", 0)),
    )


def find(folder: Path, owner: Owner, answer_s: float) -> Answer | None:
    """Ask each address that the files give for the server; None when they give none."""
    found: Answer | None = None
    for server in files.remembered(folder):
        answer = ask(server, owner, folder, answer_s)
        if answer.condition in {Condition.READY, Condition.LOADING}:
            with contextlib.suppress(
                StoreUnavailable
            ):  # repairs server.json where that is possible
                files.remember(folder, server)
            return answer
        found = found or answer
    return found
