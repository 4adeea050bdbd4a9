"""Where the scheduler's pages are, so that commands can print links to them."""

from __future__ import annotations

import logging
from typing import Annotated, ClassVar, Final

from pydantic import Field

from edgeprof.shared.settings import LINK_BASE
from edgeprof.shared.store.script import Script
from edgeprof.shared.types.wire import Name, TolerantModel

log = logging.getLogger(__name__)

#: A scheduler says where it is at least this often; a stopped one is forgotten soon after.
ANNOUNCED_EVERY_S: Final = 20.0
_KEPT_S: Final = 60


class SiteAddress(TolerantModel):
    """The base of every link, and the machine on which it leads somewhere if it is loopback."""

    largest_bytes: ClassVar[int] = 1024

    url: Annotated[str, Field(pattern=LINK_BASE)]
    host: Name
    #: Whether it can be reached from that machine only.
    loopback: bool


def announce(script: Script, address: SiteAddress) -> None:
    """Say where the pages are; of two schedulers the last one to say so is believed."""
    text = address.model_dump_json()
    script.guarded(lambda redis: redis.set(script.key("pages"), text, ex=_KEPT_S))


def base_url(script: Script, host: str) -> str | None:
    """Return the base of links that work on this machine; None without such a scheduler."""
    found = script.guarded(lambda redis: redis.get(script.key("pages")))
    try:
        address = SiteAddress.read(found.decode()) if isinstance(found, bytes) else None
    except ValueError as error:
        log.debug("where the pages are cannot be read: %s", error)
        return None
    if address is None or (address.loopback and address.host != host):
        return None
    return address.url
