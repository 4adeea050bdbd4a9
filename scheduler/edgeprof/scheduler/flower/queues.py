"""Lists queues on Flower's Broker page: those of the lab's boards, and those with waiting jobs.

Flower itself asks the workers for their queues once, when it starts. Without boards at that time it
would list only `celery`, a queue that nobody uses.
"""

from __future__ import annotations

import logging

from flower.views import BaseHandler

from edgeprof.shared.errors import EdgeprofError
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.telemetry.trouble import Troubles
from edgeprof.shared.types.job import board_queue, platform_queue

log = logging.getLogger(__name__)


def install(settings: Settings) -> None:
    """Have `celery flower` of this process list the queues that the store knows."""
    told = Troubles(log)

    def names(_handler: BaseHandler) -> list[str]:
        try:
            # Opened for each request, because Flower can start without Redis.
            with LabStore.open(settings) as store:
                found = known(store)
        except EdgeprofError as error:
            told.say("store", f"no queues to list: {error}")
            return []
        told.well("store")
        return found

    BaseHandler.get_active_queue_names = names


def known(store: LabStore) -> list[str]:
    """Return the queues of all boards and platforms, and those with jobs. Raises EdgeprofError."""
    found = {depth.queue for depth in store.jobs.queue_depths() if depth.jobs}
    for board in store.boards.all():
        found |= {board_queue(board.device_id), platform_queue(board.platform)}
    return sorted(found)
