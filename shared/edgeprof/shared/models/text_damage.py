"""Signs that a binary file went through a program for text, which loses or adds bytes."""

from __future__ import annotations

#: Fewer line ends prove nothing: 4 follow the rule by chance in one file of 2^32.
_FEW = 4
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()


def describe(data: bytes) -> str | None:
    """Return how the file was damaged, or None without a sign of it. `data` is the whole file."""
    line_ends = data.count(b"\n")
    if line_ends >= _FEW and data.count(b"\r\n") == line_ends:
        return "each line end (byte 10) was made CR LF (bytes 13, 10)"
    # About half of the bytes of weights are not ASCII, and each would become one replacement.
    if data.count(_REPLACEMENT) * len(_REPLACEMENT) * 20 > len(data):
        return "bytes that are no UTF-8 were replaced by U+FFFD"
    if len(data) > 4096 and _is_recoded(data):
        return "each byte above 127 was written as a UTF-8 character of two bytes"
    return None


def _is_recoded(data: bytes) -> bool:
    """Whether all of it is UTF-8 with much of Latin-1's upper half, as no weights are."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False
    return (len(data) - len(text)) * 20 > len(data)
