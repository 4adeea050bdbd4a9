"""The Celery app of the lab, which carries the doorbells. The jobs themselves are in the store.

Every setting below prevents a failure that was measured: docs/decisions/0003-doorbell.md.
"""

from __future__ import annotations

from typing import Any, Final

from celery import Celery

from edgeprof.shared.redis import url as redis_url

TASK_NAME: Final = "edgeprof.profile"

#: Before every key kombu writes. Flower and exporters must be given the same.
KEY_PREFIX: Final = "edgeprof:doorbell:"

#: One list a priority. Celery over Redis serves 0 first and 9 last.
PRIORITY_STEPS: Final = tuple(range(10))


def transport_options() -> dict[str, Any]:
    """Return kombu's options; also what Flower needs to see the same queues."""
    return {
        "global_keyprefix": KEY_PREFIX,
        "priority_steps": list(PRIORITY_STEPS),
        # No copy of each message that is being handled: doorbells are acknowledged early, and a
        # lost one is sent again. Nor does anybody put such copies back on a queue: another login
        # could have written them.
        "ack_emulation": False,
        "socket_keepalive": True,
        # The default is none: a publish on a dead connection would wait for ever.
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
    }


def make_app(lab_url: str) -> Celery:
    """Make a process' only app: Celery's current app is the last. It connects when it is used."""
    url, place = redis_url.broker(lab_url)
    app = Celery("edgeprof", broker=url)
    app.conf.update(
        # JSON only: a doorbell is {job_id}, and nobody who can write to Redis can run code here.
        task_serializer="json",
        result_serializer="json",
        event_serializer="json",
        accept_content=["json"],
        # Early acknowledgement: a late one would start the job again after a broken connection.
        task_acks_late=False,
        # Take a doorbell only when idle, so that a waiting job is never tied to a busy board.
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=1,
        # Results are in the job store; a full result backend would stop the worker for good.
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        # Survive a full or read-only Redis instead of exiting.
        broker_channel_error_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=transport_options() | place,
        task_create_missing_queues=True,
        # For Flower and the exporters.
        worker_send_task_events=True,
        task_send_sent_event=True,
        # Our logging configuration stays as it is.
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        timezone="UTC",
    )
    return app
