"""Notifications in the store: who wants to be told of which jobs, and messages to be sent.

Their keys are apart from the lab's, so that a client's login may write but not read them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from redis.client import Pipeline

from edgeprof.shared.store.script import Script
from edgeprof.shared.types.notification import Asked, Notice, Subject

#: How long people can see what became of a notification.
_KEPT_S: Final = 7 * 86400
#: Wishes that one call looks at, and messages that one call hands out.
PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class Ended:
    """A wish whose jobs have all ended. `asked` is JSON as it was written: perhaps not by us."""

    n: str
    asked: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message that is to be sent now."""

    id: str
    n: str
    asked: str
    body: str
    attempts: str


class NotificationStore:
    """Typed calls of lua/notices.lua. Raises StoreUnavailable or StoreRefused."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def ask(self, asked: Asked, notice: Notice, job_ids: Sequence[str]) -> None:
        """Tell an address once these jobs have ended; the same wish again replaces the first."""
        same = asked.model_dump_json(exclude={"id"})
        n = hashlib.sha256(same.encode()).hexdigest()[:16]
        jobs = json.dumps(list(job_ids))
        self._script.call_patiently(
            "ask_notice",
            n,
            asked.model_dump_json(),
            jobs,
            *_seen(asked.subject, notice),
        )

    def ended(self, offset: int) -> tuple[int, list[Ended]]:
        """Return how many wishes were looked at from `offset` on, and those that are fulfilled."""
        looked, *flat = self._script.call("ended_notices", offset, PAGE)
        return int(looked), [Ended(*flat[i : i + 2]) for i in range(0, len(flat), 2)]

    def settle(
        self, ended: Ended, asked: Asked | None, body: str, at_s: float, notice: Notice | None
    ) -> None:
        """Let a message be sent from `at_s` on, in place of a wish; without a body, none."""
        subject = None if asked is None else asked.subject
        name = "" if asked is None else asked.id
        self._script.call(
            "settle_notice", ended.n, ended.asked, name, body, at_s, *_seen(subject, notice)
        )

    def due(self, at_s: float) -> list[Message]:
        """Return messages that are to be sent, oldest first."""
        flat = self._script.call("due_notices", at_s, PAGE)
        return [Message(*flat[i : i + 5]) for i in range(0, len(flat), 5)]

    def tried(
        self, message: Message, next_s: float | None, subject: Subject | None, notice: Notice | None
    ) -> None:
        """Note an attempt. A message without a next time is forgotten: sent or given up."""
        again = "" if next_s is None else str(next_s)
        self._script.call("tried_notice", message.id, again, message.n, *_seen(subject, notice))

    def has_teller(self) -> bool:
        """Whether a scheduler leads, which sends what is to be sent."""
        key = self._script.key("custodian")
        return bool(self._script.guarded(lambda redis: redis.exists(key)))

    def notices(self, *subjects: str) -> list[Notice]:
        """Return what became of the notifications about these subjects, by address."""

        def ask(pipe: Pipeline) -> None:
            for subject in subjects:
                pipe.hvals(self._script.key(f"notices:{subject}"))

        found: list[Notice] = []
        for values in self._script.pipelined(ask, raise_on_error=False):
            for value in values if isinstance(values, list) else ():
                with suppress(ValueError):  # somebody else wrote it
                    found.append(Notice.read(value))
        return sorted(found, key=lambda notice: (notice.to, notice.at_s))


def _seen(subject: Subject | None, notice: Notice | None) -> tuple[str, str, int]:
    if subject is None or notice is None:
        return "", "", _KEPT_S
    return subject.key, notice.model_dump_json(), _KEPT_S
