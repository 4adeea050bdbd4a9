"""From a wish to a message that arrives, over real Redis and real HTTP."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edgeprof.client.job import Job
from edgeprof.scheduler.notify import webhook
from edgeprof.scheduler.notify.failure import NotSent
from edgeprof.scheduler.notify.notifier import RETRY_AFTER_S
from edgeprof.shared.errors import InfrastructureError, UsageError
from edgeprof.shared.own_version import own_version
from edgeprof.shared.types.notification import NoticeState, Subject, SubjectKind
from tests.notify.conftest import SECRET, Certificate, NotifyLab
from tests.support.webhook_receiver import WebhookReceiver, webhook_receiver

ROOT = Path(__file__).parents[2]


def test_a_sweep_is_told_once_when_its_last_job_has_ended(
    lab: NotifyLab, receiver: WebhookReceiver
) -> None:
    """Two hundred jobs are one message, with the form of the published schema."""
    names = lab.queue(*(f"job{i}" for i in range(200)))
    lab.ask(receiver.url, names)
    lab.end(*names[1:])
    lab.tick_after(1)
    assert receiver.posted == []
    assert lab.notice().text == "notification to 127.0.0.1: waits for the end"

    lab.end(names[0])
    lab.tick_after(1)
    lab.tick_after(1)

    (posted,) = receiver.posted
    body = json.loads(posted.body)
    schema = json.loads((ROOT / "docs/reference/notification.schema.json").read_text())
    jsonschema.validate(body, schema)
    assert body["type"] == "sweep.ended"
    assert body["text"].startswith("sweep night-1: 0 of ")
    assert body["data"]["user"] == "ann"
    assert posted.path == "/hook?key=SECRET"
    assert posted.headers["user-agent"] == f"edgeprof/{own_version()}"
    assert posted.headers["content-type"] == "application/json"
    assert lab.notice().text == "notification to 127.0.0.1: sent"
    assert lab.counted("sent") == 1
    assert lab.store.script.redis.keys("edgeprof-notify:*") == []  # nothing stays behind


def test_a_program_asks_for_a_job(lab: NotifyLab, receiver: WebhookReceiver) -> None:
    """`job.notify(…)` is what `--notify` is on the command line."""
    (name,) = lab.queue("job1")
    Job(name, lab.store, 1.0).notify(receiver.url)
    lab.end(name)
    lab.tick_after(1)

    (posted,) = receiver.posted
    assert json.loads(posted.body)["type"] == "job.ended"
    with pytest.raises(UsageError, match="is refused"):
        Job(name, lab.store, 1.0).notify("example.org")


def test_the_signature_is_that_of_standard_webhooks(
    lab: NotifyLab, receiver: WebhookReceiver
) -> None:
    """HMAC-SHA256 over id, time and body, by hand as the specification says."""
    lab.ask(receiver.url)
    lab.tick_after(1)

    (posted,) = receiver.posted
    headers = posted.headers
    assert headers["webhook-timestamp"] == str(int(lab.now_s))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{posted.body}".encode()
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_what_fails_is_tried_again_with_the_same_id(
    lab: NotifyLab, receiver: WebhookReceiver
) -> None:
    """The next time is in Redis: a scheduler that was started again goes on."""
    receiver.statuses = [503, 500, 200]
    lab.ask(receiver.url)
    lab.tick_after(1)
    assert "attempt 1 failed, and it is tried again: HTTP 503" in lab.notice().text
    lab.tick_after(RETRY_AFTER_S[0] - 1)
    assert len(receiver.posted) == 1
    lab.tick_after(1)

    lab.start()
    lab.tick_after(RETRY_AFTER_S[1])

    assert len(receiver.posted) == 3
    assert len({posted.headers["webhook-id"] for posted in receiver.posted}) == 1
    assert len({posted.body for posted in receiver.posted}) == 1
    assert lab.notice().state is NoticeState.SENT


def test_after_five_attempts_it_is_given_up_and_told(
    lab: NotifyLab, caplog: pytest.LogCaptureFixture
) -> None:
    """People see why, and neither they nor the log see more of the address than its host."""
    lab.ask("http://127.0.0.1:1/SECRET")  # where nobody listens
    with caplog.at_level(logging.INFO, "profiler.notifications"):
        for pause_s in (1, *RETRY_AFTER_S, 1e6):
            lab.tick_after(pause_s)

    told = "notification to 127.0.0.1: given up after 5 attempt(s): connection refused"
    assert lab.notice().text == told
    assert caplog.records[-1].getMessage() == f"sweep night-1: {told}"
    assert caplog.records[-1].levelname == "WARNING"
    assert "SECRET" not in caplog.text
    assert (lab.counted("failed"), lab.counted("given_up")) == (4, 1)
    assert lab.store.script.redis.keys("edgeprof-notify:*") == []


@pytest.mark.parametrize(
    ("status", "said"),
    [(302, "HTTP 302, and redirects are not followed"), (410, "HTTP 410"), (404, "HTTP 404")],
)
def test_an_answer_other_than_2xx_is_no_success(
    lab: NotifyLab, receiver: WebhookReceiver, status: int, said: str
) -> None:
    """A redirect is not followed; 410 says that no more are wanted."""
    receiver.statuses = [status]
    lab.ask(receiver.url)
    lab.tick_after(1)

    assert [posted.path for posted in receiver.posted] == ["/hook?key=SECRET"]
    assert lab.notice().reason == said
    assert (lab.notice().state is NoticeState.GIVEN_UP) == (status == 410)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "[::1]", "169.254.169.254",
                                  "[::ffff:127.0.0.1]", "0.0.0.0", "[fe80::1]"])  # fmt: skip
def test_the_schedulers_own_machine_is_not_reached(
    host: str, receiver: WebhookReceiver, lab: NotifyLab
) -> None:
    """A user of the lab cannot have the scheduler talk to what trusts its own machine, nor to the
    metadata of a cloud."""
    with pytest.raises(NotSent, match="EDGEPROF_NOTIFY_ALLOW") as caught:
        webhook.post(f"http://{host}:{receiver.port}/", "{}", "msg_1", 0)

    assert caught.value.final
    assert receiver.posted == []


def test_a_receiver_that_drips_is_ended() -> None:
    """A byte now and then holds up no notification for ever."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        stop = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        began_s = time.monotonic()
        with pytest.raises(NotSent, match="no answer in time"):
            webhook.post(
                f"http://127.0.0.1:{port}/", "{}", "msg_1", 0, allowed={"127.0.0.1"}, limit_s=0.3
            )
        stop.set()
        thread.join()

    assert time.monotonic() - began_s < 30


def test_a_certificate_has_to_be_trusted(
    lab: NotifyLab, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """https is checked as browsers do."""
    with webhook_receiver(certificate.context) as receiver:
        lab.ask(receiver.url)
        lab.tick_after(1)
        assert lab.notice().reason == "TLS: self-signed certificate"

        monkeypatch.setenv("SSL_CERT_FILE", certificate.path)
        lab.tick_after(100)

        assert len(receiver.posted) == 1


def test_a_host_that_is_away_is_not_waited_for_twice(
    lab: NotifyLab, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its other messages count as tried, so that those of other hosts are not held up."""
    tried: list[str] = []

    def post(url: str, *_args: Any, **_more: Any) -> None:
        tried.append(url)
        raise NotSent("no answer in time", unreachable=True)

    monkeypatch.setattr(webhook, "post", post)
    for number in range(5):
        lab.ask(f"https://away.example/{number}", subject=_sweep(number))
    lab.tick_after(1)

    assert len(tried) == 1
    assert {lab.notice(_sweep(number).key).attempts for number in range(5)} == {1}


def test_one_fault_of_ours_stops_no_other_notification(
    lab: NotifyLab, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that cannot be sent for a reason that nobody foresaw is given up; its error is not
    shown, as it may have the address in it."""
    right = webhook.post

    def post(url: str, *args: Any, **more: Any) -> None:
        if "odd" in url:
            raise ValueError(url)
        right(url, *args, **more)

    monkeypatch.setattr(webhook, "post", post)
    lab.ask("https://odd.example/SECRET", subject=_sweep(1))
    lab.ask(receiver.url, subject=_sweep(2))
    lab.tick_after(1)

    told = "notification to odd.example: given up after 1 attempt(s): it cannot be sent: ValueError"
    assert lab.notice("sweep:night-1").text == told
    assert lab.notice("sweep:night-2").state is NoticeState.SENT


def test_an_archive_that_is_away_delays_and_loses_nothing(
    lab: NotifyLab, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages that were made before are sent meanwhile."""

    def away(_query: object) -> list[Any]:
        raise InfrastructureError("the archive is away")

    receiver.statuses = [500, 204]
    lab.ask(receiver.url, subject=_sweep(1))
    lab.tick_after(1)
    monkeypatch.setattr(lab.archive, "find", away)
    lab.ask(receiver.url, subject=_sweep(2))
    with pytest.raises(InfrastructureError):
        lab.tick_after(RETRY_AFTER_S[0])
    assert lab.notice("sweep:night-1").state is NoticeState.SENT
    assert lab.notice("sweep:night-2").state is NoticeState.WAITING

    monkeypatch.undo()
    lab.tick_after(1)
    assert lab.notice("sweep:night-2").state is NoticeState.SENT


def _sweep(number: int) -> Subject:
    return Subject(kind=SubjectKind.SWEEP, name=f"night-{number}")


def test_the_same_wish_again_replaces_one_that_waits(
    lab: NotifyLab, receiver: WebhookReceiver
) -> None:
    """A sweep that was interrupted and goes on is told once; one that is asked for after that is
    told again, under another id."""
    lab.ask(receiver.url, lab.queue("a"))
    lab.ask(receiver.url, ["a", *lab.queue("b")])
    lab.end("a")
    lab.tick_after(1)
    assert receiver.posted == []
    lab.end("b")
    lab.tick_after(1)
    assert len(receiver.posted) == 1

    lab.ask(receiver.url, lab.queue("c"))
    lab.end("c")
    lab.tick_after(1)
    assert len({posted.headers["webhook-id"] for posted in receiver.posted}) == 2


def test_what_others_wrote_into_redis_stops_nobodys_notification(
    lab: NotifyLab, receiver: WebhookReceiver
) -> None:
    """Wishes and messages that cannot be read are dropped."""
    redis, keys = lab.store.script.redis, "edgeprof-notify:"
    redis.zadd(f"{keys}waiting", {"no-record": 1, "bad": 2, "typed": 3})
    redis.set(f"{keys}asked:bad", '{"address": "gopher://x"}')
    redis.lpush(f"{keys}asked:typed", "x")
    redis.set(f"{keys}jobs:bad", "no list")
    redis.zadd(f"{keys}due", {"no-message": 1, "half": 2})
    redis.hset(f"{keys}message:half", "body", "x")
    redis.hset("edgeprof:notices:sweep:night-1", "x", "no JSON")
    lab.ask(receiver.url)
    lab.tick_after(1)

    assert len(receiver.posted) == 1
    assert lab.notice().state is NoticeState.SENT
    assert redis.keys(f"{keys}*") == []


def test_the_documented_program_verifies_a_message(
    lab: NotifyLab, receiver: WebhookReceiver
) -> None:
    """The program of the how-to takes a signed message, and refuses one that was changed."""
    lab.now_s = time.time()
    lab.ask(receiver.url)
    lab.tick_after(0)
    (posted,) = receiver.posted
    text = (ROOT / "docs/how-to/notifications.md").read_text()
    (program,) = re.findall(r"(?:^    .*\n|^\n)*^    from standardwebhooks.*\n(?:^    .*\n|^\n)*", text, re.MULTILINE)  # noqa: E501  # fmt: skip
    source = re.sub(r"^    ", "", program, flags=re.MULTILINE)
    headers = {"webhook-id": "", "webhook-timestamp": "", "webhook-signature": ""}
    given = {name: posted.headers[name] for name in headers}

    for body, code in ((posted.body, 0), (posted.body.replace("night-1", "night-2"), 1)):
        call = f"\nprint(verified({body!r}, {given!r}))"
        done = subprocess.run(
            [sys.executable, "-c", source + call],
            env={"EDGEPROF_NOTIFY_SECRET": SECRET},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
    assert "WebhookVerificationError" in done.stderr
