"""Checks that Redis keeps jobs: its settings, and whether the store is still the same one.

The lab's promises need three things that are easily changed in Redis: an append-only file, no
eviction, and a store that nobody empties. Redis reports nothing when one of them is lost.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from edgeprof.shared.errors import InfrastructureError, StoreRefused
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.store.script import Script
from edgeprof.shared.telemetry.trouble import Troubles

log = logging.getLogger(__name__)

#: For how long it is reported that the store was emptied: people read it the next morning.
EMPTIED_TOLD_S: Final = 86400.0
#: Pause between two looks of a process that stays.
LOOK_EVERY_S: Final = 60.0

KINDS: Final = ("evicts", "not_persistent", "not_written", "emptied")


@dataclass(frozen=True, slots=True)
class Danger:
    """A reason why jobs may be lost, or were."""

    kind: str
    text: str
    hint: str


class StoreWatch:
    """Looks at one store, for as long as the process lives."""

    def __init__(self, script: Script, known_id: str = "") -> None:
        """known_id: the store's id when it was last seen; "" when that is not known."""
        self._script = script
        self.known_id = known_id
        self._told = Troubles(log)
        self._due_s = 0.0
        self.dangers: list[Danger] = []

    def look(self) -> list[Danger]:
        """Look now. Raises StoreUnavailable. A Redis that does not show its settings is trusted."""
        found = self._settings()
        try:
            found += self._identity()
        except StoreRefused as error:  # full or read-only, which is reported elsewhere
            log.debug("the store was not identified: %s", error)
        self.dangers = found
        return found

    def look_when_due(self) -> list[Danger]:
        """Look once a minute, and log new dangers; that Redis is away is reported elsewhere."""
        now_s = time.monotonic()
        if now_s < self._due_s:
            return self.dangers
        self._due_s = now_s + LOOK_EVERY_S
        try:
            self.look()
        except InfrastructureError as error:
            log.debug("not looked at: %s", error)
            return self.dangers
        present = {danger.kind: danger for danger in self.dangers}
        for kind in KINDS:
            if kind in present:
                self._told.say(kind, f"{present[kind].text}; {present[kind].hint}")
            else:
                self._told.well(kind, f"store: {kind.replace('_', ' ')} no more")
        return self.dangers

    def _settings(self) -> list[Danger]:
        try:
            info: Mapping[str, Any] = self._script.guarded(lambda redis: redis.info())
        except StoreRefused as error:
            log.debug("Redis does not tell its settings: %s", error)
            return []
        return dangers_of(info)

    def _identity(self) -> list[Danger]:
        """Make the store's id where there is none, and compare it with the one that was known."""
        fresh = secrets.token_hex(8)
        now, store_id, emptied_s = self._script.call("identify", self.known_id, fresh)
        self.known_id = store_id
        if not emptied_s or float(now) - float(emptied_s) > EMPTIED_TOLD_S:
            return []
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(float(emptied_s)))
        return [
            Danger(
                "emptied",
                f"the store was emptied or replaced before {when}: the jobs in it are gone",
                "finished ones are in the archive (edgeprof results); submit the others again, and"
                " find out who emptied Redis or restarted it without its append-only file",
            )
        ]


def dangers_of(info: Mapping[str, Any]) -> list[Danger]:
    """Return the dangers that Redis' INFO shows. A field that is missing counts as safe."""
    found = []
    policy = str(info.get("maxmemory_policy", "noeviction"))
    evicted = int(info.get("evicted_keys", 0))
    if policy != "noeviction":
        lost = f", and has thrown {evicted:,} keys away already" if evicted else ""
        found.append(
            Danger(
                "evicts",
                f"Redis throws jobs away when it is full (maxmemory-policy {policy}){lost}",
                "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf",
            )
        )
    if str(info.get("role", "master")) == "slave":
        found.append(
            Danger(
                "not_persistent",
                f"Redis is a replica of {one_line(str(info.get('master_host', '')), 64)}:"
                " jobs that it takes are gone when it next copies that one",
                "EDGEPROF_REDIS_URL must name the master; redis+sentinel:// follows it",
            )
        )
    elif not int(info.get("aof_enabled", 1)):
        found.append(
            Danger(
                "not_persistent",
                "Redis keeps no append-only file: its next restart loses jobs",
                "redis-cli CONFIG SET appendonly yes, and the same in redis.conf",
            )
        )
    elif str(info.get("aof_last_write_status", "ok")) != "ok":
        found.append(
            Danger(
                "not_written",
                "Redis cannot write its append-only file, and takes no jobs",
                "is its disk full? Its log says why",
            )
        )
    elif str(info.get("aof_last_bgrewrite_status", "ok")) != "ok":
        found.append(
            Danger(
                "not_written",
                "Redis cannot rewrite its append-only file, which grows until the disk is full",
                "is its disk full, or its memory too small for a fork? Its log says why",
            )
        )
    return found
