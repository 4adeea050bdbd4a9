"""Posts a notification to a webhook, signed as Standard Webhooks 1.0 wants it."""

from __future__ import annotations

import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from standardwebhooks import Webhook

from edgeprof.scheduler.notify.failure import NotSent
from edgeprof.scheduler.notify.reach import Forbidden, connection
from edgeprof.shared.own_version import own_version

#: How long one step may take: to connect, to send, to get the next bytes of the answer.
_STEP_S: Final = 10.0
#: How long all of it may take: a receiver that sends a byte now and then holds up nobody.
_ALL_S: Final = 20.0


def post(
    url: str,
    body: str,
    message_id: str,
    at_s: float,
    *,
    secret: str | None = None,
    allowed: Collection[str] = (),
    limit_s: float = _ALL_S,
) -> None:
    """Post a body. Raises NotSent unless the answer is 2xx."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    opened = connection(parts, min(_STEP_S, limit_s), allowed)
    headers = _headers(parts, body, message_id, at_s, secret)
    try:
        with _ended_within(opened, limit_s) as late:
            try:
                opened.request("POST", target, body.encode(), headers)
                status = opened.getresponse().status
            except (OSError, HTTPException):
                if not late.is_set():
                    raise
            if late.is_set():
                raise TimeoutError  # noqa: TRY301 - all ends are told apart below
    except Forbidden as error:
        raise NotSent(str(error), final=True) from None
    except TimeoutError:
        raise NotSent("no answer in time", unreachable=True) from None
    except ssl.SSLError as error:
        why = getattr(error, "verify_message", "") or error.reason
        raise NotSent(f"TLS: {why}", unreachable=True) from None
    except OSError as error:
        why = (error.strerror or "the connection failed").lower()
        raise NotSent(why, unreachable=True) from None
    except HTTPException:
        raise NotSent("its answer is not HTTP") from None
    finally:
        opened.close()
    if status // 100 == 3:
        raise NotSent(f"HTTP {status}, and redirects are not followed")
    if status // 100 != 2:
        raise NotSent(f"HTTP {status}", final=status == 410)  # 410: it wants no more of them


def _headers(
    url: SplitResult, body: str, message_id: str, at_s: float, secret: str | None
) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"edgeprof/{own_version()}",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at_s)),
    }
    if secret is not None:
        at = datetime.fromtimestamp(int(at_s), UTC)
        headers["webhook-signature"] = Webhook(secret).sign(message_id, at, body)
    if url.username is not None:
        login = f"{unquote(url.username)}:{unquote(url.password or '')}"
        headers["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
    return headers


@contextmanager
def _ended_within(opened: HTTPConnection, limit_s: float) -> Iterator[threading.Event]:
    """Shut the connection down when the time is over; the event is set then."""
    late = threading.Event()

    def end() -> None:
        late.set()
        with suppress(OSError, AttributeError):  # it is not open yet, or no longer
            opened.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(limit_s, end)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
