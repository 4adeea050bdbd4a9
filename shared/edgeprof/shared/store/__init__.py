"""The job store: the truth about jobs and boards, in Redis. Keys and meanings: lua/keys.lua."""

from edgeprof.shared.store.boards import BoardClash, BoardStore, Owner
from edgeprof.shared.store.job_values import Claim, Event, NewJob, NoClaim, Renewal, Transition
from edgeprof.shared.store.jobs import JobStore
from edgeprof.shared.store.script import Script

__all__ = [
    "BoardClash",
    "BoardStore",
    "Claim",
    "Event",
    "JobStore",
    "NewJob",
    "NoClaim",
    "Owner",
    "Renewal",
    "Script",
    "Transition",
]
