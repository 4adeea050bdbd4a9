"""`edgeprof boards reserve` and `release`: for a while a board gets only my jobs."""

from __future__ import annotations

import re
from typing import Annotated, Final

import typer

from edgeprof.cli import completion, output
from edgeprof.client.humanize import when
from edgeprof.client.lab import Lab
from edgeprof.shared.errors import UsageError
from edgeprof.shared.identity import user_name
from edgeprof.shared.store.reservations import LONGEST_RESERVATION_S

_UNIT_S: Final = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SHORTEST_S: Final = 1.0

Name = Annotated[
    str,
    typer.Argument(metavar="BOARD", autocompletion=completion.boards, help="Name of a board."),
]


def reserve(
    name: Name,
    duration: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long: 30m, 2h, 1d; at most 7d.")
    ],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why, for the others.")
    ] = "",
) -> None:
    """Keep a board for your own jobs; other users' jobs wait, or go to other boards.

    The job that runs there goes on, whosever it is. The reservation ends by itself. To reserve
    your own board again sets the end anew.

    Example: edgeprof boards reserve bench-3 --for 2h --reason "new kernel"
    """
    for_s = duration_s(duration)
    with Lab(hurried=True) as lab:
        until_s = lab.store.reservations.reserve(name, user_name(), for_s, reason)
        board = lab.store.boards.named(name)
    output.note(f"{name} runs only jobs of {user_name()} until {when(until_s)}")
    if board.job_id and board.job_user != user_name():
        output.note(f"it still runs job {board.job_id} of {board.job_user or 'nobody named'}")


def release(
    name: Name,
    force: Annotated[
        bool, typer.Option("--force", help="Also end a reservation of somebody else.")
    ] = False,
) -> None:
    """End a reservation early.

    Example: edgeprof boards release bench-3
    """
    with Lab(hurried=True) as lab:
        lab.store.boards.named(name)  # an unknown name is an error
        was = lab.store.reservations.release(name, None if force else user_name())
    output.note(f"{name} runs jobs of all users again" if was else f"{name} was not reserved")


def duration_s(text: str) -> float:
    """Return 7200 for "2h". Raises UsageError."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*(s|m|min|h|d)", text.strip())
    if not found:
        raise UsageError(f"--for {text!r} is no duration", hint="e.g. --for 30m, 2h or 1d")
    length_s = float(found[1]) * _UNIT_S[found[2]]
    if not _SHORTEST_S <= length_s <= LONGEST_RESERVATION_S:
        raise UsageError(
            f"--for {text}: a reservation lasts from 1s to 7d", hint="e.g. --for 30m, 2h or 1d"
        )
    return length_s
