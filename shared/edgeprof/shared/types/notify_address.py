"""Where a notification may go: a webhook's URL, or a mail address.

The client reads an address to refuse a bad one at once; the scheduler reads it again, because other
programs can write to Redis.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import unquote, urlsplit

from edgeprof.shared.errors import UsageError

#: Longest address; the longest that chats hand out have some hundreds of characters.
LONGEST: Final = 2000
_HINT: Final = "e.g. https://hooks.example.org/T0/B1, or mailto:ann@example.org"


class Way(StrEnum):
    """How a notification travels; a label of the metric."""

    WEBHOOK = "webhook"
    MAIL = "mail"


@dataclass(frozen=True, slots=True, repr=False)
class NotifyAddress:
    """An address that can be tried."""

    way: Way
    #: The URL of a webhook, which may be a secret, or the mail address.
    target: str
    #: What may be shown and logged: the host of a webhook, the mail address.
    shown: str

    @classmethod
    def parse(cls, text: str) -> NotifyAddress:
        """Read an address. Raises UsageError, whose message does not repeat a URL."""
        if len(text) > LONGEST or not text.isascii() or not text.isprintable() or " " in text:
            raise _refused("it has a space, a character that is not ASCII, or is too long")
        try:
            scheme = urlsplit(text).scheme
        except ValueError:
            raise _refused("it is no URL") from None
        if scheme == "mailto":
            return cls._mail(text.partition(":")[2])
        if scheme in {"http", "https"}:
            return cls._webhook(text)
        raise _refused("it begins with neither https://, http:// nor mailto:")

    @classmethod
    def _mail(cls, text: str) -> NotifyAddress:
        # Imported here: it takes 20 ms, and every command reads this module.
        from email.errors import MessageError  # noqa: PLC0415
        from email.headerregistry import Address as MailAddress  # noqa: PLC0415

        target = unquote(text)
        if "?" in text or "," in target:
            raise _refused("a mailto: is one address, without a subject or other headers")
        try:
            found = MailAddress(addr_spec=target)
        except (MessageError, ValueError, IndexError):
            found = MailAddress()
        if not (found.username and found.domain and target.isascii() and target.isprintable()):
            raise _refused("what follows mailto: is no mail address")
        return cls(Way.MAIL, found.addr_spec, found.addr_spec)

    @classmethod
    def _webhook(cls, text: str) -> NotifyAddress:
        try:
            url = urlsplit(text)
            host, _ = url.hostname, url.port  # which looks at the port
            (host or "").encode("idna")
        except ValueError:  # UnicodeError is one
            raise _refused("its host or its port is malformed") from None
        if not host or "%" in host:
            raise _refused("it has no host")
        if url.fragment:
            raise _refused("what follows its # would not be sent")
        return cls(Way.WEBHOOK, text, f"[{host}]" if ":" in host else host)


def _refused(why: str) -> UsageError:
    return UsageError(f"the address to notify is refused: {why}", hint=_HINT)
