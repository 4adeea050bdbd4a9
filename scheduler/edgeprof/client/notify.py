"""What a user asks to be told: addresses, and the conditions under which they are told."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from edgeprof.shared.errors import UsageError
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.notification import (
    LONGEST_WORD,
    MOST,
    Asked,
    Notice,
    NoticeState,
    Subject,
)
from edgeprof.shared.types.notify_address import NotifyAddress


@dataclass(frozen=True, slots=True)
class Wish:
    """Whom to tell, and when: always, or only when a condition is broken against a selection."""

    addresses: tuple[str, ...]
    conditions: tuple[str, ...] = ()
    against: str | None = None

    @classmethod
    def of(
        cls,
        addresses: Sequence[str],
        conditions: Sequence[str] = (),
        against: str | None = None,
    ) -> Self:
        """Check a wish. Raises UsageError."""
        for address in addresses:
            NotifyAddress.parse(address)
        if max(len(addresses), len(conditions)) > MOST:
            raise UsageError(f"at most {MOST} addresses to notify, and as many conditions")
        if not addresses and (conditions or against is not None):
            raise UsageError(
                "a condition for a notification, but nobody to notify",
                hint="add --notify https://… or --notify mailto:ADDRESS",
            )
        if conditions and against is None:
            raise UsageError(
                "--notify-if compares with something, and nothing is named",
                hint="e.g. --against baseline:release; edgeprof baseline save NAME SELECTION",
            )
        if conditions:
            # Imported here: few have conditions, and the statistics take a tenth of a second.
            from edgeprof.client.gate import Gates  # noqa: PLC0415

            Gates.parse(conditions, option="--notify-if")
        if max(map(len, [against or "", *conditions])) > LONGEST_WORD:
            raise UsageError(f"a condition or a selection has more than {LONGEST_WORD} characters")
        return cls(tuple(dict.fromkeys(addresses)), tuple(conditions), against)

    @property
    def to(self) -> list[str]:
        """The addresses as they may be shown."""
        return [NotifyAddress.parse(address).shown for address in self.addresses]

    def ask(self, store: LabStore, subject: Subject, job_ids: Sequence[str], user: str) -> None:
        """Have the addresses told once these jobs have ended: at once when there are none.

        The scheduler tells them. The same wish about the same subject replaces one that waits.
        """
        for address in self.addresses:
            parsed = NotifyAddress.parse(address)
            asked = Asked(
                id=f"msg_{secrets.token_hex(12)}",
                subject=subject,
                address=address,
                user=one_line(user, 64),
                conditions=self.conditions,
                against=self.against,
            )
            notice = Notice(
                way=parsed.way, to=parsed.shown, state=NoticeState.WAITING, at_s=time.time()
            )
            store.notifications.ask(asked, notice, job_ids)
