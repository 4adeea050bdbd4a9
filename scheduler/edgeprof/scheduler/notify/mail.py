"""Sends a notification as mail in plain text."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from typing import Final
from urllib.parse import unquote, urlsplit

from edgeprof.scheduler.notify.event import Event
from edgeprof.scheduler.notify.failure import NotSent
from edgeprof.shared.sanitize import harmless, one_line

_STEP_S: Final = 10.0
_LONGEST_SUBJECT: Final = 120
#: Mail servers that nobody can listen in between: their certificates are often made up.
_HERE: Final = ("localhost", "127.0.0.1", "::1")


def message_of(event: Event, message_id: str, sender: str, to: str, at_s: float) -> EmailMessage:
    """Return the mail. Each attempt has the same Message-ID, so readers show it once."""
    mail = EmailMessage()
    mail["Subject"] = one_line(event.text.partition("\n")[0], _LONGEST_SUBJECT)
    mail["From"] = sender
    mail["To"] = to
    mail["Date"] = formatdate(at_s, usegmt=True)
    mail["Message-ID"] = f"<{message_id}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # no answer of an absent person comes back
    link = f"\n{event.data.url}\n" if event.data.url else ""
    by = f", asked for by {event.data.user}" if event.data.user else ""
    mail.set_content(f"{harmless(event.text)}\n{link}\n-- \nedgeprof{by}\n")
    return mail


def send(server: str | None, mail: EmailMessage) -> None:
    """Hand a mail to the server. Raises NotSent."""
    if server is None:
        raise NotSent("EDGEPROF_SMTP_URL is not set where the scheduler runs")
    try:
        _send(server, mail)
    except smtplib.SMTPAuthenticationError:
        raise NotSent("the mail server refuses our login", unreachable=True) from None
    except smtplib.SMTPRecipientsRefused as error:
        (code, text), *_ = error.recipients.values()
        raise _refused(code, text) from None
    except smtplib.SMTPResponseException as error:
        raise _refused(error.smtp_code, error.smtp_error) from None
    except smtplib.SMTPException:
        raise NotSent("the mail server broke the conversation off") from None
    except TimeoutError:
        raise NotSent("no answer of the mail server in time", unreachable=True) from None
    except ssl.SSLError as error:
        why = getattr(error, "verify_message", "") or error.reason
        raise NotSent(f"mail server: TLS: {why}", unreachable=True) from None
    except OSError as error:
        why = (error.strerror or "the connection failed").lower()
        raise NotSent(f"mail server: {why}", unreachable=True) from None


def _send(server: str, mail: EmailMessage) -> None:
    url = urlsplit(server)
    host = url.hostname or "localhost"
    tls = ssl.create_default_context()
    if url.scheme == "smtps":
        opened: smtplib.SMTP = smtplib.SMTP_SSL(host, url.port or 465, timeout=_STEP_S, context=tls)
        secure = True
    else:
        opened = smtplib.SMTP(host, url.port or 25, timeout=_STEP_S)
        secure = host in _HERE
    with opened:
        opened.ehlo()
        if not secure and opened.has_extn("starttls"):
            opened.starttls(context=tls)
            opened.ehlo()
            secure = True
        if url.username is not None:
            if not secure:
                raise NotSent("the mail server offers no TLS, and a password is sent by TLS only")
            opened.login(unquote(url.username), unquote(url.password or ""))
        opened.send_message(mail)


def _refused(code: int, text: bytes | str) -> NotSent:
    said = text.decode(errors="replace") if isinstance(text, bytes) else text
    return NotSent(f"the mail server refuses it: {code} {said}", final=code >= 500)
