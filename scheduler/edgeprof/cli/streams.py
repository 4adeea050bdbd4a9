"""Replaces stdout and stderr, so that a full disk or a closed pipe ends in a clear error."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import BinaryIO, Final, TextIO

#: The file name in an OSError of standard output.
STDOUT: Final = "standard output"


class ReaderGone(Exception):  # noqa: N818 - not an error: the reader has left
    """Raised instead of BrokenPipeError, for which Typer and rich have exit codes of their own."""


class _Stdout(io.TextIOWrapper):
    """Standard output whose OSErrors name it as the file."""

    def write(self, text: str) -> int:
        with _named():
            return super().write(text)

    def flush(self) -> None:
        with _named():
            super().flush()


class _Stderr(io.TextIOWrapper):
    """Standard error. A message that cannot be written is dropped: the command goes on."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()


@contextlib.contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise ReaderGone from None
    except OSError as error:
        error.filename = STDOUT
        if error.errno == errno.EBADF:
            error.strerror = "it is closed"
        raise


def prepare() -> None:
    """Replace the process' own streams, but not those that a test or another program put there.

    A character that the terminal's encoding lacks becomes a question mark.
    """
    _fill_gaps()
    if sys.stdout is sys.__stdout__:
        sys.stdout = _Stdout(*_written_to(1, sys.stdout), "replace")
    if sys.stderr is sys.__stderr__:
        sys.stderr = _Stderr(*_written_to(2, sys.stderr), "replace", line_buffering=True)


def silence_stdout() -> None:
    """Drop what could not be written, or Python would try again at exit, and fail."""
    if isinstance(sys.stdout, _Stdout):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _fill_gaps() -> None:
    """Open the descriptors that the caller closed, or the next socket would become stdout."""
    while (number := os.open(os.devnull, os.O_RDONLY)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


def _written_to(number: int, stream: TextIO | None) -> tuple[BinaryIO, str]:
    """Return a stream's binary file and encoding; for a closed one, a file that refuses writes."""
    if isinstance(stream, io.TextIOWrapper):
        return stream.detach(), stream.encoding
    return os.fdopen(number, "wb", closefd=False), "utf-8"
