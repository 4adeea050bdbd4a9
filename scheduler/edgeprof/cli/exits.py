"""Exit codes, and how errors are printed. docs/reference/exit-codes.md is written from here."""

from __future__ import annotations

import tempfile
import traceback
from typing import Final

from edgeprof.shared.errors import EdgeprofError, Fault, FaultClass, UsageError

OK: Final = 0
JOB_FAILED: Final = 1
USAGE: Final = 2
INFRASTRUCTURE: Final = 3
INTERRUPTED: Final = 130
OUTPUT_NOT_READ: Final = 141

MEANING: Final = {
    OK: "what was asked for was done",
    JOB_FAILED: "a job that was waited for failed, expired or was cancelled, a combination was"
    " refused while others were queued, or a comparison breaks a condition (--fail-if)",
    USAGE: "the call is wrong: an option, a name, a model or a prompt; nothing was submitted",
    INFRASTRUCTURE: "something the lab runs on is missing: Redis, the archive, a tool, a file",
    INTERRUPTED: "Ctrl-C, or a question answered with no; submitted jobs go on",
    OUTPUT_NOT_READ: "the reader of the output has left (`| head`), as for a program that SIGPIPE"
    " ended; nothing is printed",
}


def code_of(error: EdgeprofError) -> int:
    """Return the exit code for an error that reached the command line.

    A faulty model or request was refused before it was queued, so the caller has to change it.
    Its code is 2, as for any other wrong argument.
    """
    if isinstance(error, UsageError):
        return USAGE
    if isinstance(error, Fault) and error.fault_class in {FaultClass.MODEL, FaultClass.JOB}:
        return USAGE
    return INFRASTRUCTURE


def report(error: EdgeprofError) -> int:
    """Print the error and its hint on stderr; returns the exit code."""
    # Imported here: only errors need them, and they take a tenth of a second.
    from rich.text import Text  # noqa: PLC0415

    from edgeprof.client.console import PlainConsole  # noqa: PLC0415

    console = PlainConsole(stderr=True, soft_wrap=True)
    console.print(Text.assemble(("error:", "bold red"), f" {error}"))
    if error.hint:
        console.print(Text.assemble(("hint:", "cyan"), f" {error.hint}"))
    return code_of(error)


def report_bug(error: Exception) -> int:
    """Write the traceback of an unexpected error to a file, and print its path."""
    wanted = "please report it"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="edgeprof-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            traceback.print_exception(error, file=file)
        wanted += f" with {file.name}"
    except OSError:  # a full disk, for example: then the place in the code is printed
        if error.__traceback__ is not None:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            wanted += f"; it is in {frame.name}, line {frame.lineno}"
    wrapped = EdgeprofError(
        f"unexpected {type(error).__name__}: {error}",
        hint=f"this is a bug of edgeprof; {wanted}",
    )
    return report(wrapped)
