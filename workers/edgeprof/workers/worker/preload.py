"""Imports what workers load only once they run, so that a fork server's workers share it."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from edgeprof.shared.telemetry import tracing

#: What Celery, kombu, numpy and importlib.resources import by themselves at a worker's first steps;
#: and modules that are imported by name.
_LATE: Final = (
    "celery.app.amqp",
    "celery.app.control",
    "celery.app.events",
    "celery.app.log",
    "celery.app.routes",
    "celery.apps.worker",
    "celery.backends.base",
    "celery.concurrency.thread",
    "celery.events.receiver",
    "celery.fixups.django",
    "celery.loaders.app",
    "celery.utils.debug",
    "celery.utils.static",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.consumer",
    "celery.worker.consumer.agent",
    "celery.worker.consumer.delayed_delivery",
    "celery.worker.control",
    "celery.worker.heartbeat",
    "celery.worker.loops",
    "celery.worker.strategy",
    "edgeprof.workers.emulated.protocol_labwired",
    "edgeprof.workers.emulated.protocol_native",
    "edgeprof.workers.emulated.protocol_qemu",
    "edgeprof.workers.emulated.protocol_rp2040js",
    "edgeprof.workers.worker.doorbell_transport",
    "encodings.idna",
    "importlib.resources.readers",
    "kombu.asynchronous.semaphore",
    "kombu.matcher",
    "kombu.pidbox",
    "numpy.ma",
    "opentelemetry.instrumentation.celery",
    "serial.urlhandler",
)

#: What tracing.configure() imports.
_EXPORT: Final = (
    "edgeprof.shared.telemetry.span_fields",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk.trace.export",
)


def preload() -> None:
    """Import it all; nothing is started or connected."""
    for name in _LATE + (_EXPORT if tracing.exporting() else ()):
        import_module(name)
