"""Runs one command, from its arguments to an exit code. Here every error becomes a line of text."""

from __future__ import annotations

import errno
import logging
import sys
from collections.abc import Sequence

from edgeprof.cli import exits, streams
from edgeprof.cli.app import app
from edgeprof.shared.errors import EdgeprofError, InfrastructureError, UsageError
from edgeprof.shared.resources import exhausted
from edgeprof.shared.sanitize import one_line


def run(arguments: Sequence[str] | None) -> int:
    """Run a command; returns the exit code."""
    streams.prepare()
    logging.basicConfig(level=logging.WARNING, format="warning: %(message)s", stream=sys.stderr)
    try:
        code = _invoke(arguments)
        sys.stdout.flush()  # else it would fail after the exit code was decided
    except streams.ReaderGone:
        streams.silence_stdout()
        code = exits.OUTPUT_NOT_READ
    except OSError as error:
        code = _report_os_error(error)
    return code


def _invoke(arguments: Sequence[str] | None) -> int:
    try:
        app(args=arguments, prog_name="edgeprof")
    except SystemExit as end:  # Typer always ends so
        return end.code if isinstance(end.code, int) else exits.OK
    except EdgeprofError as error:
        return exits.report(error)
    except (OSError, streams.ReaderGone):
        raise
    except UnicodeEncodeError as error:
        wrong = [word for word in arguments or sys.argv[1:] if not _is_text(word)]
        return exits.report(_no_text(wrong[0])) if wrong else exits.report_bug(error)
    except (MemoryError, RuntimeError) as error:
        return exits.report(_NO_MORE) if exhausted(error) else exits.report_bug(error)
    except Exception as error:  # noqa: BLE001 - a user gets a line, never a traceback
        return exits.report_bug(error)
    return exits.OK


_NO_MORE = InfrastructureError(
    "this machine has no more memory or threads for edgeprof",
    hint="what uses them up, or limits them? free -m; ulimit -a",
)


def _is_text(word: str) -> bool:
    """Whether an argument is text, with no bytes that the locale's encoding cannot decode."""
    return word.isprintable() or not any("\ud800" <= c <= "\udfff" for c in word)


def _no_text(word: str) -> UsageError:
    return UsageError(
        f"the argument {one_line(word)!r} is no text in the alphabet of this terminal",
        hint="LC_ALL=C.UTF-8 makes it UTF-8",
    )


def _report_os_error(error: OSError) -> int:
    """Print which file the system refused, and why: this is no bug of edgeprof."""
    streams.silence_stdout()
    what = error.filename or "a system call"
    return exits.report(
        InfrastructureError(
            f"{what}: {error.strerror or error}",
            hint="is there space, and may you write there?" if error.errno in _OF_DISKS else None,
        )
    )


_OF_DISKS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
