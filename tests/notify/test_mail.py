"""Notifications by mail, through a real SMTP server."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope

from edgeprof.scheduler.notify import mail
from edgeprof.shared.types.notification import NoticeState, Subject, SubjectKind
from tests.notify.conftest import Certificate, NotifyLab

TO = "mailto:ann@example.org"


class _AtAnyPort(Controller):
    """Listens at a free port; the library's own would try to reach port 0."""

    def _trigger_server(self) -> None:
        server: Any = self.server
        self.port = server.sockets[0].getsockname()[1]
        super()._trigger_server()


class MailServer:
    """Keeps what it gets; refuses mail for nobody@example.org, and logins other than lab:pass."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.mails: list[EmailMessage] = []
        self.senders: list[str | None] = []
        self._controller = _AtAnyPort(
            self,
            hostname="127.0.0.1",
            port=0,
            ready_timeout=60,
            tls_context=tls,
            server_hostname="mail.example.org",
            auth_require_tls=False,
            authenticator=self._login,
        )
        self._controller.start()
        self.port = self._controller.port

    def _login(self, _server: Any, _session: Any, _envelope: Any, _way: str, data: Any) -> Any:
        good = (data.login, data.password) == (b"lab", b"p@ss")
        return AuthResult(success=good, handled=False)

    async def handle_RCPT(  # noqa: N802 - its name there
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if address.startswith("nobody@"):
            return "550 no such user"
        if address.startswith("later@"):
            return "451 greylisted"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, _server: Any, session: Any, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        assert session.authenticated
        self.mails.append(mail)
        self.senders.append(envelope.mail_from)
        return "250 OK"

    def close(self) -> None:
        self._controller.stop()


@pytest.fixture
def tls_server(certificate: Certificate) -> Iterator[MailServer]:
    opened = MailServer(certificate.context)
    yield opened
    opened.close()


@pytest.fixture
def server() -> Iterator[MailServer]:
    opened = MailServer()
    yield opened
    opened.close()


def use(lab: NotifyLab, url: str | None) -> None:
    lab.settings = lab.settings.model_copy(update={"smtp_url": url})
    lab.start()


def test_a_mail_is_short_plain_text(lab: NotifyLab, server: MailServer) -> None:
    """The subject is the event, the text has its reasons, and automatic answers are not asked
    for."""
    use(lab, f"smtp://lab:p%40ss@127.0.0.1:{server.port}")
    names = lab.queue("a1")
    lab.ask(TO, names, Subject(kind=SubjectKind.JOB, name="a1"))
    lab.end("a1")
    lab.tick_after(1)

    (got,) = server.mails
    assert got["Subject"] == "job a1 cancelled: nothing F32 on null: no longer wanted"
    assert (got["From"], got["To"]) == ("lab@example.org", "ann@example.org")
    assert server.senders == ["lab@example.org"]
    assert got["Auto-Submitted"] == "auto-generated"
    assert got["Message-ID"].startswith("<msg_")
    assert got.get_content_type() == "text/plain"
    assert "asked for by ann" in got.get_content()
    assert lab.notice("job:a1").text == "notification to ann@example.org: sent"
    assert lab.counted("sent", "mail") == 1


@pytest.mark.parametrize(
    ("to", "login", "state", "said"),
    [
        ("nobody@example.org", "lab:p%40ss@", NoticeState.GIVEN_UP, "refuses it: 550 no such user"),
        ("later@example.org", "lab:p%40ss@", NoticeState.TRYING, "refuses it: 451 greylisted"),
        ("ann@example.org", "lab:SECRET@", NoticeState.TRYING, "refuses our login"),
    ],
)
def test_what_the_mail_server_refuses_is_told(
    lab: NotifyLab, server: MailServer, to: str, login: str, state: NoticeState, said: str
) -> None:
    """What it refuses for good is not tried again; a password is shown nowhere."""
    use(lab, f"smtp://{login}127.0.0.1:{server.port}")
    lab.ask(f"mailto:{to}")
    lab.tick_after(1)

    assert lab.notice().state is state
    assert said in lab.notice().text
    assert "SECRET" not in lab.notice().text
    assert server.mails == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (None, "EDGEPROF_SMTP_URL is not set where the scheduler runs"),
        ("smtp://127.0.0.1:1", "mail server: connection refused"),
    ],
)
def test_mail_waits_for_a_server(lab: NotifyLab, url: str | None, said: str) -> None:
    """Whoever runs the lab has some minutes to set it right."""
    use(lab, url)
    lab.ask(TO)
    lab.tick_after(1)

    assert lab.notice().state is NoticeState.TRYING
    assert said in lab.notice().text


def test_a_password_travels_by_tls_only(
    lab: NotifyLab,
    server: MailServer,
    tls_server: MailServer,
    certificate: Certificate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """STARTTLS is used where it is offered, and only with a certificate that is trusted."""
    monkeypatch.setattr(mail, "_HERE", ())  # as if the servers were on other machines
    use(lab, f"smtp://lab:p%40ss@127.0.0.1:{server.port}")
    lab.ask(TO)
    lab.tick_after(1)
    assert "offers no TLS" in lab.notice().text

    use(lab, f"smtp://lab:p%40ss@127.0.0.1:{tls_server.port}")
    lab.tick_after(100)
    assert "TLS: self-signed certificate" in lab.notice().text
    assert server.mails == tls_server.mails == []

    monkeypatch.setenv("SSL_CERT_FILE", certificate.path)
    lab.tick_after(1000)
    assert len(tls_server.mails) == 1
