"""Collects what the lab has measured on a platform, for predictions."""

from __future__ import annotations

from edgeprof.client.lab import Lab
from edgeprof.client.prediction.costs import Measured, measured_of
from edgeprof.scheduler.archive import Archive, Query
from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.types.job import JobState

#: Older results say nothing that the newest do not.
_NEWEST = 200


def measured_on(platform: str, firmware_git_hash: str | None = None) -> list[Measured]:
    """Return the newest cases measured on a platform, of one firmware if it is given.

    From the archive, and from Redis what the archive does not have yet.
    """
    with Lab(hurried=True) as lab:
        views = {view.id: view for view in lab.jobs(JobState.SUCCEEDED, _NEWEST)}
        try:
            with Archive.open(lab.settings) as archive:
                found = archive.find(Query(platform=platform, limit=_NEWEST))
        except InfrastructureError:
            found = []  # no archive yet: the scheduler makes it
    views |= {view.id: view for view in found}
    results = [view.result for view in views.values() if view.result is not None]
    return [
        sample
        for result in results
        if result.identity.platform == platform
        and firmware_git_hash in {None, result.identity.firmware_git_hash}
        for sample in measured_of(result)
    ]
