"""The client's and the lab's side: the Python API, the custodian, the archive, the CLI."""

from edgeprof.scheduler.job import Job
from edgeprof.scheduler.lab import Lab, Planned, Request

__all__ = ["Job", "Lab", "Planned", "Request"]
