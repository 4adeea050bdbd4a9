"""Makes text from outside harmless: it must not command a terminal or fake a line of a log.

Such text comes from boards, clients and tools. Control characters are removed, not escaped: a
terminal gives them no width, so tables stay straight. Long text is cut.
"""

from __future__ import annotations

import re
from typing import Final

#: Longest reason that is stored, shown or logged: it has room for a refusal with its sum.
LONGEST_LINE: Final = 2000

#: C0 and C1 except tab and line feed, and characters that change the direction of writing.
_COMMANDS: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)

#: Halves of UTF-16 pairs, which no text has; not those that stand for bytes (0xDC80 to 0xDCFF).
_HALVES: Final = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def without_halves(text: str) -> str:
    """Return the text with U+FFFD for such halves; a terminal's bytes that are not UTF-8 stay."""
    return _HALVES.sub("\ufffd", text)


def valid_unicode(text: str) -> str:
    """Return the text as valid Unicode, which JSON, databases and files can store."""
    raw = without_halves(text).encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "replace")


def harmless(text: str) -> str:
    """Return the text without control characters; lines and tabs stay."""
    return _COMMANDS.sub("", text)


def one_line(text: str, longest: int = LONGEST_LINE) -> str:
    """Return the text as one line of valid Unicode, cut where it is too long."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    line = harmless(cut.replace("\n", " | ").replace("\t", " "))
    return line.encode(errors="replace").decode()
