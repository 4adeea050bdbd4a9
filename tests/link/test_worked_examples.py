"""docs/link-protocol.md against the code: its bytes, its numbers, its table of errors."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

from edgeprof.workers.link import framing
from edgeprof.workers.link.framing import Kind
from edgeprof.workers.link.messages.board import PingRequest
from edgeprof.workers.link.messages.codec import encode
from edgeprof.workers.link.messages.errors import ERROR_NAMES
from edgeprof.workers.link.messages.operations import Op
from edgeprof.workers.link.messages.payload import dump

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "link-protocol.md").read_text()


def found(pattern: str) -> str:
    match = re.search(pattern, DOCUMENT, re.MULTILINE)
    assert match is not None, pattern
    return match[1]


def test_ping_is_built_as_the_document_shows() -> None:
    """The worked example's body, byte for byte, is what encode() makes of PING."""
    payload = bytes.fromhex(found(r"= `([0-9A-F ]+)`\.\n"))
    body = bytes.fromhex(found(r"^body  ([0-9A-F ]+?)  crc"))

    assert dump(encode(PingRequest(echo=7))) == payload
    assert body == b"\x01\x01\x00" + payload
    frame = framing.encode(Kind.REQ, 1, payload)
    stuffed = bytes.fromhex(found(r"^wire  ([0-9A-F ]+)$"))
    assert frame == stuffed


def test_crc_check_value() -> None:
    """The CRC named in the document is zlib's."""
    check = int(found(r"`123456789` is (0x[0-9A-F]+)"), 16)

    assert zlib.crc32(b"123456789") == check


def test_errors_are_the_same_everywhere() -> None:
    """Document, firmware and driver list the same codes under the same names."""
    documented = {
        int(code): name.lower()
        for code, name in re.findall(r"^\| (\d{3}) \| ([A-Z_]+) \|", DOCUMENT, re.MULTILINE)
    }
    header = (ROOT / "firmware" / "core" / "platform" / "error.h").read_text()
    compiled = {
        int(code): name.lower() for name, code in re.findall(r"TLEP_E_([A-Z_]+) = (\d+)", header)
    }

    assert documented == dict(ERROR_NAMES)
    assert compiled == dict(ERROR_NAMES)


def test_operations_are_the_same_everywhere() -> None:
    """Document, firmware and driver number the operations alike."""
    documented = {
        name: int(number)
        for number, name in re.findall(
            r"^\| (\d+) \| ([A-Z_]+) \| (?:yes|BUSY)", DOCUMENT, re.MULTILINE
        )
    }
    source = (ROOT / "firmware" / "core" / "link" / "keys.h").read_text()
    compiled = {name: int(number) for name, number in re.findall(r"OP_([A-Z_]+) = (\d+)", source)}

    assert documented == {op.name: op.value for op in Op}
    assert compiled == documented
