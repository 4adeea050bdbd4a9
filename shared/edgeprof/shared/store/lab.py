"""All stores of a lab's Redis in one object, which client, scheduler and workers open."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Self

from edgeprof.shared.queue.doorbell import Doorbells
from edgeprof.shared.redis import client as redis_client
from edgeprof.shared.redis import server as redis_server
from edgeprof.shared.redis.embedded.durability import until_written
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.blobs import BlobStore
from edgeprof.shared.store.boards import BoardStore
from edgeprof.shared.store.hosts import HostStore
from edgeprof.shared.store.jobs import JobStore
from edgeprof.shared.store.maintenance import StoreMaintenance
from edgeprof.shared.store.notifications import NotificationStore
from edgeprof.shared.store.reservations import ReservationStore
from edgeprof.shared.store.schedules import ScheduleStore
from edgeprof.shared.store.script import Script
from edgeprof.shared.store.watch import StoreWatch


@dataclass(frozen=True, slots=True)
class LabStore:
    """The stores of a lab, over one connection pool."""

    url: str = field(repr=False)  # with its password
    embedded: bool
    script: Script
    jobs: JobStore
    maintenance: StoreMaintenance
    boards: BoardStore
    hosts: HostStore
    reservations: ReservationStore
    blobs: BlobStore
    schedules: ScheduleStore
    doorbells: Doorbells
    watch: StoreWatch
    notifications: NotificationStore

    @classmethod
    def open(
        cls,
        settings: Settings,
        answer_s: float = redis_client.SERVICE_ANSWER_S,
        *,
        hurried: bool = False,
    ) -> Self:
        """Find Redis (or start the embedded one), and check that it answers within `answer_s`.

        hurried: it also has to answer each question within that time later; submits, files and
        waits have 10 s.
        """
        endpoint = redis_server.locate(settings, answer_s)
        redis_client.greet(endpoint.url, answer_s)
        # We wait for the disk of the embedded Redis only: other servers' owners choose theirs.
        folder = (settings.data_dir / "redis").resolve()
        written = partial(until_written, folder=folder) if endpoint.embedded else None
        patient = redis_client.client(endpoint.url)
        quick = redis_client.client(endpoint.url, answer_s) if hurried else patient
        script = Script(quick, endpoint.url, patient=patient)
        return cls(
            url=endpoint.url,
            embedded=endpoint.embedded,
            script=script,
            jobs=JobStore(script, written),
            maintenance=StoreMaintenance(script),
            boards=BoardStore(script),
            hosts=HostStore(script),
            reservations=ReservationStore(script),
            blobs=BlobStore(script, settings.blob_limit_bytes),
            schedules=ScheduleStore(script, settings.blob_limit_bytes, written),
            doorbells=Doorbells(script),
            watch=StoreWatch(script),
            notifications=NotificationStore(script),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.script.close()
