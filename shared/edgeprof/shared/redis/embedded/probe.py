"""What a server says when it is asked how it is; an unhappy answer is an answer."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from redis import Redis, exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from edgeprof.shared.errors import StoreUnavailable
from edgeprof.shared.redis.embedded import files
from edgeprof.shared.redis.embedded.owner import Owner, works_in
from edgeprof.shared.sanitize import one_line

#: Silence for so long is told to the user: with the start of Python, within five seconds.
SILENCE_LIMIT_S: Final = 3.0


class Condition(StrEnum):
    """How the server is."""

    READY = "ready"
    LOADING = "loading"
    #: Nobody listens (yet, or any more).
    DEAF = "deaf"
    SILENT = "silent"
    #: It answers with an error: a script does not end, there are too many clients.
    UNHAPPY = "unhappy"
    #: It is there, and refuses the password that we remember.
    LOCKED = "locked"
    #: Another program answers on the port, or the Redis of another folder.
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and from where."""

    server: files.Server
    condition: Condition
    #: How much of its file it has read, while it loads; percent.
    loaded: str = ""
    #: Its disk takes nothing, and so much of what it acknowledged is in its memory only.
    cannot_write: bool = False
    unwritten_bytes: int = 0
    #: Its error, in its own words.
    said: str = ""


def ask(server: files.Server, owner: Owner, folder: Path) -> Answer:
    """Ask once. INFO is answered while the file is loaded, and when the disk is full; PING is not."""
    redis = Redis(
        host="127.0.0.1",
        port=server.port,
        password=server.password,
        socket_timeout=SILENCE_LIMIT_S,
        socket_connect_timeout=SILENCE_LIMIT_S,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        info: dict[str, Any] = redis.info()
    except exceptions.AuthenticationError:
        return Answer(server, Condition.LOCKED)
    except exceptions.TimeoutError:
        return Answer(server, Condition.SILENT)
    except exceptions.NoPermissionError:
        return Answer(server, Condition.LOCKED)
    except exceptions.InvalidResponse:
        return Answer(server, Condition.FOREIGN)
    except (exceptions.ConnectionError, OSError) as error:
        if "max number of clients" in str(error):
            return Answer(server, Condition.UNHAPPY, said=str(error))
        lost = "closed by server" in str(error) or isinstance(error.__context__, ConnectionError)
        return Answer(server, Condition.DEAF if lost else Condition.FOREIGN)
    except exceptions.RedisError as error:
        return Answer(server, Condition.UNHAPPY, said=one_line(str(error)))
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


def find(folder: Path, owner: Owner) -> Answer | None:
    """Ask wherever the files say that the server is; None: they say nothing."""
    found: Answer | None = None
    for server in files.remembered(folder):
        answer = ask(server, owner, folder)
        if answer.condition in {Condition.READY, Condition.LOADING}:
            with contextlib.suppress(
                StoreUnavailable
            ):  # a repair of server.json, where that is possible
                files.remember(folder, server)
            return answer
        found = found or answer
    return found
