"""The errors of this project, and whose fault each is.

EdgeprofError
├── UsageError                 the call itself is wrong: exit code 2
│   └── NotFound               a name that the lab does not know: a typo, or gone long ago
│       ├── JobNotFound        no such job, in the store or in the archive
│       └── BoardNotFound      no worker has ever announced such a board
├── InfrastructureError        Redis, the embedded server, the archive: exit code 3
│   ├── StoreUnavailable       Redis cannot be reached
│   └── StoreRefused           Redis answered, and refused (password, ACL, memory, read-only)
└── Fault                      a job's attempt failed; `.fault_class` decides about a retry
    ├── LinkFault      "link"  our cable: silence, CRC errors, port gone, protocol version
    ├── BoardFault     "board" their chip: rebooted, hung, refused as unhealthy
    ├── HostFault      "host"  this machine: disk full, QEMU missing, worker stopped
    ├── ModelError     "model" the model: malformed, unsupported, does not fit, wrong output
    └── JobError       "job"   the request: prompt too long, token out of vocabulary

Only link, board and host faults are retried (invariant 4 of the architecture).
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Final


class FaultClass(StrEnum):
    """Whose fault a failed attempt is."""

    LINK = "link"
    BOARD = "board"
    HOST = "host"
    MODEL = "model"
    JOB = "job"

    @property
    def retryable(self) -> bool:
        """Whether another attempt could end differently."""
        return self in {FaultClass.LINK, FaultClass.BOARD, FaultClass.HOST}


class EdgeprofError(Exception):
    """Base of every error this project raises on purpose.

    `hint` says what the user can do next; it is printed on a line of its own.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(EdgeprofError):
    """Raised when the call itself is wrong; nothing was submitted."""


class NotFound(UsageError):  # noqa: N818 - names a state, as httpx's do
    """Raised when the lab does not know this name."""


class JobNotFound(NotFound):
    """Raised when no job has this id, in the store or in the archive."""


class BoardNotFound(NotFound):
    """Raised when no worker has ever announced a board of this name."""


class InfrastructureError(EdgeprofError):
    """Raised when Redis, the embedded server or the archive is not usable."""

    #: Whether this proves that no other worker can have been granted the job at that moment.
    proves_store_down = False


class StoreUnavailable(InfrastructureError):  # noqa: N818 - names a state, as httpx's do
    """Raised when Redis cannot be reached."""


class StoreRefused(InfrastructureError):  # noqa: N818
    """Raised when Redis answers but refuses: wrong password, no memory, read-only."""


#: Host faults that are about one board's port, flash tool, reset or emulator; other boards may be
#: well.
_OF_ONE_BOARD: Final = frozenset(
    {"flash_failed", "flash_timeout", "no_flash_tool", "reset_failed", "hello"}
    | {"port_absent", "port_busy", "port_denied", "port_failed"}
    | {"no_qemu", "no_node", "no_rp2040js", "no_firmware", "no_slot"}
)
#: Host faults for which neither board nor machine is to blame: the worker stopped, or a bug of
#: ours.
_OF_NOBODY: Final = frozenset(
    {"worker_stopped", "lease_lost", "cancelled", "internal", "board_claimed"}
)


class Fault(EdgeprofError):  # noqa: N818
    """Base of what can end one attempt of a job.

    `code` is a short stable word for metrics and scripts, e.g. "no_memory", "silence".
    """

    fault_class: ClassVar[FaultClass]

    def __init__(
        self,
        message: str,
        *,
        code: str = "unspecified",
        hint: str | None = None,
        requested_bytes: int | None = None,
        available_bytes: int | None = None,
    ) -> None:
        """The byte counts are those of a failed allocation, for the log."""
        super().__init__(message, hint=hint)
        self.code = code
        self.requested_bytes = requested_bytes
        self.available_bytes = available_bytes

    @property
    def blame(self) -> str:
        """What is cordoned after several such faults in a row: "board", "host" or ""."""
        if self.fault_class in {FaultClass.BOARD, FaultClass.LINK} or self.code in _OF_ONE_BOARD:
            return "board"
        if self.fault_class is FaultClass.HOST and self.code not in _OF_NOBODY:
            return "host"
        return ""

    @property
    def graceful_stop(self) -> bool:
        """Whether nothing was wrong with board or link: the job may start again at once."""
        return self.code in {"worker_stopped", "lease_lost"}


class LinkFault(Fault):
    """Raised when bytes do not get through: silence, corruption, port gone, wrong protocol."""

    fault_class = FaultClass.LINK


class BoardFault(Fault):
    """Raised when the board itself misbehaves: it rebooted, hung, or refuses as unhealthy."""

    fault_class = FaultClass.BOARD


class HostFault(Fault):
    """Raised when this machine cannot do its part: disk full, QEMU missing, worker stopping."""

    fault_class = FaultClass.HOST


class ModelError(Fault):
    """Raised when the model is at fault: malformed, unsupported, too big, wrong output."""

    fault_class = FaultClass.MODEL


class JobError(Fault):
    """Raised when the request is at fault: prompt too long, token outside the vocabulary."""

    fault_class = FaultClass.JOB
