"""Every place where a worker reaches into Celery and kombu below their documented interfaces.

Look here first after an upgrade of either. What each hook is for, and what breaks without it:

    stop_loop             celery.worker.state.should_stop, read by Celery's loop at each turn. There
                          is no public way to end a worker from one of its own threads.
    is_handling_doorbell  celery.worker.state.reserved_requests: a doorbell was received and its
                          task has not ended.
    event_dispatcher      worker.consumer.event_dispatcher: task events of jobs go out over the
                          worker's own connection (task_events.py).
    follow_queues         consumer.add_task_queue and cancel_task_queue, run by Celery's loop. The
                          public way is a remote-control command, and those are refused here.
    DoorbellRequest       Request.send_event and its _eventer: no event reports a doorbell, and the
                          loop still turns at the end of a task.
    _keep_our_logging     signal setup_logging. Its setting worker_hijack_root_logger keeps our
                          handlers, and still sets the root logger's level.
    broker transport      kombu.transport.TRANSPORT_ALIASES and its cache; doorbell_transport.py
                          subclasses kombu's Redis transport, and says why at its head.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from celery import signals
from celery.exceptions import SecurityWarning
from celery.worker import state as celery_state
from celery.worker.request import Request

from edgeprof.shared.telemetry import tracing


def stop_loop() -> None:
    """Have Celery's loop end at its next turn; allowed from any thread."""
    celery_state.should_stop = 0  # type: ignore[assignment]  # an exit code, or False to go on


def is_handling_doorbell() -> bool:
    """Whether a doorbell has been received and is not dealt with yet."""
    return bool(celery_state.reserved_requests)


def event_dispatcher(worker: Any) -> Any:
    """Return the worker's event dispatcher; None without a connection, and once it stops."""
    return getattr(getattr(worker, "consumer", None), "event_dispatcher", None)


def follow_queues(worker: Any, known: Sequence[str], wanted: Sequence[str]) -> None:
    """Have the worker consume the wanted queues of the known ones, and no others of them.

    Nothing happens while the worker connects; the caller asks again at its next heartbeat.
    """
    consumer = getattr(worker, "consumer", None)
    if consumer is None or consumer.task_consumer is None:
        return
    for queue in known:
        consumes = consumer.task_consumer.consuming_from(queue)
        if queue in wanted and not consumes:
            consumer.call_soon(consumer.add_task_queue, queue)
        elif queue not in wanted and consumes:
            consumer.call_soon(consumer.cancel_task_queue, queue)


class DoorbellRequest(Request):
    """What Celery makes of a doorbell. It sends no event, and wakes Celery's loop as if it had.

    The loop waits for I/O for up to a second and takes the next doorbell only when it turns. The
    event at the end of a task is what makes it turn at once.
    """

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002, ARG002 - Celery's names
        dispatcher: Any = getattr(self, "_eventer", None)
        if dispatcher is not None and dispatcher.on_send_buffered is not None:
            dispatcher.on_send_buffered()


def prepare_process() -> None:
    """Set up what Celery decides for the whole process: logging, tracing, one warning."""
    signals.worker_init.connect(_instrument, weak=False)
    signals.setup_logging.connect(_keep_our_logging, weak=False)
    # Celery warns of pickle under root. The app takes JSON only, and containers do run as root.
    warnings.simplefilter("ignore", SecurityWarning)


def _instrument(**_: Any) -> None:
    tracing.instrument_celery()


def _keep_our_logging(**_: Any) -> None:
    """Do nothing: that this signal has a receiver stops Celery configuring logging."""
