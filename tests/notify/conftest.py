"""A lab whose jobs a test ends by hand, its notifier, and a receiver of webhooks."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from edgeprof.client.notify import Wish
from edgeprof.scheduler.archive import Archive
from edgeprof.scheduler.notify.build import sender
from edgeprof.scheduler.notify.composing import Composer
from edgeprof.scheduler.notify.metrics import NotifyMetrics
from edgeprof.scheduler.notify.notifier import Notifier
from edgeprof.scheduler.notify.settings import NotifySettings
from edgeprof.shared.store.job_values import NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.notification import Asked, Notice, Subject, SubjectKind
from tests.support.jobs import make_spec
from tests.support.webhook_receiver import WebhookReceiver, webhook_receiver

#: `whsec_` and the base64 of 32 bytes.
SECRET = "whsec_" + "c2VjcmV0" * 5 + "c2U="
SWEEP = Subject(kind=SubjectKind.SWEEP, name="night-1")


@dataclass(frozen=True)
class Certificate:
    """A certificate of 127.0.0.1 that nobody has signed, and a server's context with it."""

    path: str
    context: ssl.SSLContext


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("certificate")
    paths = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
            *("-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-out", paths[0], "-keyout", paths[1]),
        ],
        capture_output=True,
        check=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*paths)
    return Certificate(paths[0], context)


class NotifyLab:
    """The time is a number of the test's, so that no test waits for a retry."""

    def __init__(self, store: LabStore, archive: Archive) -> None:
        self.store, self.archive = store, archive
        self.now_s = 1_800_000_000.0
        self.settings = NotifySettings(
            notify_secret=SECRET, notify_allow="127.0.0.1", smtp_from="lab@example.org"
        )
        self.start()

    def start(self) -> None:
        """Start a scheduler's notifier, in place of the one before."""
        self.registry = CollectorRegistry()
        composer = Composer(self.store, self.archive, "testhost")

        def compose(asked: Asked, at_s: float) -> str | None:
            event = composer.event(asked, at_s)
            return None if event is None else event.model_dump_json()

        self.notifier = Notifier(
            self.store.notifications,
            compose,
            sender(self.settings),
            NotifyMetrics(self.registry),
            clock=lambda: self.now_s,
        )

    def queue(self, *names: str, sweep_id: str = "night-1") -> list[str]:
        """Queue jobs of a sweep."""
        jobs = [NewJob(make_spec(sweep_id=sweep_id), id=name) for name in names]
        self.store.jobs.submit(jobs, "test")
        return list(names)

    def end(self, *names: str) -> None:
        for name in names:
            self.store.jobs.cancel(name, "test", "no longer wanted")

    def ask(
        self,
        address: str,
        jobs: Sequence[str] = (),
        subject: Subject = SWEEP,
        conditions: Sequence[str] = (),
        against: str | None = None,
    ) -> None:
        Wish.of([address], conditions, against).ask(self.store, subject, jobs, "ann")

    def tick_after(self, seconds: float) -> None:
        self.now_s += seconds
        self.notifier.tick()

    def notice(self, subject: str = "sweep:night-1") -> Notice:
        (notice,) = self.store.notifications.notices(subject)
        return notice

    def counted(self, outcome: str, kind: str = "webhook") -> float:
        labels = {"outcome": outcome, "kind": kind}
        return self.registry.get_sample_value("edgeprof_notifications_total", labels) or 0.0


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as opened:
        yield opened


@pytest.fixture
def lab(store: LabStore, tmp_path: Path) -> Iterator[NotifyLab]:
    with Archive(f"sqlite:///{tmp_path / 'results.db'}") as archive:
        yield NotifyLab(store, archive)
