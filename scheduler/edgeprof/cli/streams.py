"""Standard output and error that fail in a way that can be told: full, closed, or for another alphabet."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import BinaryIO, Final, TextIO

#: What an OSError of standard output has for its file's name.
STDOUT: Final = "standard output"


class ReaderGone(Exception):  # noqa: N818 - not an error: who read the output has enough of it
    """Raised instead of BrokenPipeError, which both Typer and rich would make an exit code of their own of."""


class _Stdout(io.TextIOWrapper):
    """Standard output that says which file could not be written."""

    def write(self, text: str) -> int:
        with _named():
            return super().write(text)

    def flush(self) -> None:
        with _named():
            super().flush()


class _Stderr(io.TextIOWrapper):
    """Standard error for messages: one that cannot be written changes nothing about what is done."""

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
    """Replace the process' own streams; those that a test or another program put there are left alone.

    A character that the terminal's alphabet lacks becomes a question mark.
    """
    _fill_gaps()
    if sys.stdout is sys.__stdout__:
        sys.stdout = _Stdout(*_written_to(1, sys.stdout), "replace")
    if sys.stderr is sys.__stderr__:
        sys.stderr = _Stderr(*_written_to(2, sys.stderr), "replace", line_buffering=True)


def silence_stdout() -> None:
    """Let what could not be written vanish, or Python would try again at its very end, and fail."""
    if isinstance(sys.stdout, _Stdout):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _fill_gaps() -> None:
    """Open what the caller closed, for reading: else the next socket would be standard output."""
    while (number := os.open(os.devnull, os.O_RDONLY)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


def _written_to(number: int, stream: TextIO | None) -> tuple[BinaryIO, str]:
    """Return what is behind a stream, and its encoding; for one that was closed, a file that refuses."""
    if isinstance(stream, io.TextIOWrapper):
        return stream.detach(), stream.encoding
    return os.fdopen(number, "wb", closefd=False), "utf-8"
