"""The numbers that name operations, events and states (docs/link-protocol.md, sections 4 and 7)."""

from __future__ import annotations

from enum import IntEnum

#: The version this host speaks: major, minor.
PROTOCOL = (1, 3)


class Op(IntEnum):
    """Operations a board carries out: key 0 of requests, replies and errors."""

    HELLO = 1
    PING = 2
    BAUD = 3
    UPLOAD = 4
    VERIFY = 5
    LOAD = 6
    PROMPT = 7
    RUN = 8
    SCORE = 9
    RESULT = 10
    STATS = 11
    CANCEL = 12
    RESET = 13
    MEMTEST = 14
    IDENTIFY = 15
    PROFILE = 16
    PROFILE_RESULT = 17
    READ_SPEED = 18
    KERNEL_SPEED = 19
    FAULT = 64


class Event(IntEnum):
    """Progress that a board reports unasked: key 0 of events."""

    TOKEN = 1
    PREFILL = 2
    DONE = 3
    BOOT = 4


class RunState(IntEnum):
    """What became of a run."""

    RUNNING = 0
    DONE = 1
    CANCELLED = 2
    FAILED = 3
