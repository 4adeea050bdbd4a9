"""Jobs in the store: typed calls around the script in lua/, which keeps invariants 1 to 4."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from pydantic import ValidationError
from redis import Redis

from edgeprof.shared.errors import Fault, JobError
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.store.job_reader import JobReader, not_found
from edgeprof.shared.store.job_values import Claim, NewJob, NoClaim, Renewal
from edgeprof.shared.store.script import Script
from edgeprof.shared.store.submission import NeededBlob, arguments
from edgeprof.shared.types.job import SCHEMA_VERSION, JobSpec, JobState
from edgeprof.shared.types.result import JobResult
from edgeprof.shared.types.wire import is_name
from edgeprof.shared.validation import first_error

#: Jobs written at once, all or none. Redis does nothing else meanwhile: about half a second.
SUBMIT_CHUNK: Final = 10_000

#: Calls of one claim: each removes thousands of entries that are no jobs, and lets others to Redis.
_CLAIM_CALLS: Final = 50


class JobStore(JobReader):
    """All that can happen to a job, beside what its custodian does (maintenance.py)."""

    def __init__(
        self, script: Script, until_written: Callable[[Redis], None] | None = None
    ) -> None:
        """until_written: waits until all that this Redis has acknowledged is on its disk."""
        super().__init__(script)
        self._until_written = until_written

    # --- the client's side

    def submit(
        self,
        jobs: Sequence[NewJob],
        actor: str,
        *,
        notify: bool = False,
        blobs: Sequence[NeededBlob] = (),
    ) -> list[NeededBlob]:
        """Write jobs as queued. When this returns they are safe; repeating it is harmless.

        Returns those of `blobs` that are not in the store; then nothing was written. With `notify`,
        the doorbells are sent in the same call.
        """
        for start in range(0, len(jobs), SUBMIT_CHUNK):
            chunk, needed = jobs[start : start + SUBMIT_CHUNK], () if start else blobs
            sent = arguments(chunk, actor, needed, notify=notify)
            missing = self._script.call_patiently("submit", *sent)
            if missing:
                return [blobs[place] for place in missing]
        if self._until_written:
            self._script.guarded_patiently(self._until_written)
        return []

    def cancel(self, job_id: str, actor: str, reason: str) -> JobState:
        """Cancel a queued job; ask the worker of a running one. Returns the state afterwards."""
        self._must_exist(job_id)
        state = self._script.call("cancel", job_id, actor, one_line(reason))
        if not state:  # forgotten between the two calls
            raise not_found(job_id)
        return JobState(state)

    # --- the board worker's side

    def claim(
        self,
        notified_job_id: str,
        owner: str,
        *,
        device_id: str,
        platform: str,
        host: str,
        lock_domain: str,
        lease_s: float,
        traceparent: str = "",
    ) -> Claim | NoClaim:
        """Take the job whose turn it is for a board, or return why there is none.

        `notified_job_id` is the job whose doorbell was received. It decides the queue; the
        priorities and the users' turns decide which job of that queue is granted. A doorbell of a
        job that is gone serves for the board's other jobs. `owner` is this attempt's own token:
        asking again with it returns the same claim. `traceparent` is where the attempt is in its
        trace, for the next one to link to. A job whose record or id is malformed is failed at once,
        as a JobError, and the answer is MALFORMED.
        """
        asked = (
            notified_job_id,
            owner,
            device_id,
            platform,
            host,
            lock_domain,
            lease_s,
            SCHEMA_VERSION,
        )
        for _ in range(_CLAIM_CALLS):
            reply = self._script.call("claim", *asked, traceparent)
            if reply[0] != "again":
                break
        if reply[0] != "granted":
            return NoClaim(reply[0])
        _, job_id, epoch, attempt, spec, submitted, wait_s, previous = reply
        try:
            read = _claimed(job_id, spec)
        except ValueError as error:
            wrong = first_error(error) if isinstance(error, ValidationError) else error
            problem = f"the job's record is malformed: {wrong}"
            self.fail(job_id, int(epoch), JobError(problem, code="record"))
            return NoClaim.MALFORMED
        return Claim(job_id, int(epoch), int(attempt), read, submitted, float(wait_s), previous)

    def renew(self, job_id: str, epoch: int, lease_s: float) -> Renewal:
        """Renew the lease of an attempt."""
        return Renewal(self._script.call("renew", job_id, epoch, lease_s))

    def progress(self, job_id: str, epoch: int, **fields: str | float) -> bool:
        """Add an event for watchers; False when another attempt has the job by now."""
        flat = [part for item in fields.items() for part in item]
        return bool(self._script.call("progress", job_id, epoch, *flat) == "ok")

    def succeed(self, job_id: str, epoch: int, result: JobResult) -> JobState | None:
        """Write the result; None when it was refused because another attempt has the job by now."""
        return _fenced(self._script.call("succeed", job_id, epoch, result.model_dump_json()))

    def fail(
        self,
        job_id: str,
        epoch: int,
        fault: Fault,
        quarantine_after: int = 1_000_000,
        backoff_s: float = 0.0,
    ) -> JobState | None:
        """End this attempt by a fault: back to the queue, or failed; None when it was refused.

        Where no other board could take it, the job waits for `backoff_s` first, doubled for each
        attempt before. The board is quarantined when `quarantine_after` of its attempts in a row
        failed for board or link reasons, and the host is cordoned likewise for host reasons.
        """
        retryable = int(fault.fault_class.retryable)
        return _fenced(
            self._script.call(
                "fail",
                job_id,
                epoch,
                fault.fault_class,
                fault.code,
                one_line(str(fault)),
                retryable,
                backoff_s,
                quarantine_after,
                fault.blame,
            )
        )

    def reclaim(self, device_id: str, lock_domain: str, actor: str) -> str | None:
        """Give back the job that a dead worker had on this board; returns its id."""
        return self._script.call("reclaim", actor, device_id, lock_domain) or None


def _fenced(reply: str) -> JobState | None:
    return None if reply == "stale" else JobState(reply)


def _claimed(job_id: str, spec: str) -> JobSpec:
    if not is_name(job_id):  # it becomes a part of a file's name (Outbox)
        raise ValueError("its id is not a name")
    return JobSpec.read(spec)
