"""docs/link-protocol.cddl, docs/link-protocol.md, the host's classes and the board's keys agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgeprof.workers.link.messages import board, profile, runs, wire_types
from edgeprof.workers.link.messages.codec import (
    HEAD_KEY,
    Part,
    Request,
    fields_of,
    name_of,
    reply_of,
)
from edgeprof.workers.link.messages.operations import Event, Op
from edgeprof.workers.link.messages.wire_types import (
    Blob,
    Either,
    Flag,
    Float32,
    Items,
    Row,
    Signed,
    Text,
    Uint,
    WireType,
)
from tests.link import cddl
from tests.support.wire_messages import MESSAGES

ROOT = Path(__file__).resolve().parents[2]
CDDL = cddl.document()
KEYS_H = (ROOT / "firmware" / "core" / "link" / "keys.h").read_text()
MARKDOWN = (ROOT / "docs" / "link-protocol.md").read_text()


def spelt(kind: WireType | None) -> str:
    """Write a wire type of the host as the CDDL file does."""
    match kind:
        case None:
            return "nil"
        case Uint(size_bytes=size):
            return f"u{8 * size}"
        case Signed():
            return "int"
        case Flag():
            return "bool"
        case Float32():
            return "float32"
        case Text(most_bytes=most):
            return f"name{most}" if most in {16, 32} else f"tstr .size (0..{most})"
        case Blob(least_bytes=32, most_bytes=32):
            return "sha256"
        case Blob(most_bytes=None):
            return "bstr"
        case Blob(least_bytes=least, most_bytes=most):
            return f"bstr .size ({least}..{most})"
        case Either(options=options):
            return " / ".join(spelt(option) for option in options)
        case Items(item=item, most=None):
            return f"[* {spelt(item)}]"
        case Items(item=item, most=most):
            return f"[0*{most} {spelt(item)}]"
        case Row(name=name):
            return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
        case Part(message=message):
            return name_of(message)
        case other:
            pytest.fail(f"no CDDL for {other}")


def test_host_has_a_class_for_each_message() -> None:
    """No message of the CDDL file lacks a class, and no class lacks a message."""
    assert set(MESSAGES) == set(CDDL.maps)


@pytest.mark.parametrize("name", sorted(CDDL.maps))
def test_fields_of_the_host_are_those_of_the_cddl(name: str) -> None:
    """Name, key, type and limits of each field, and whether it may be absent, are the same."""
    message = MESSAGES[name]
    fields = [
        cddl.Member(field.name, field.key.number, field.key.optional, spelt(field.wire_type))
        for field in fields_of(message)
    ]
    if message.HEAD is not None:
        head = "event" if isinstance(message.HEAD, Event) else "op"
        fields.insert(0, cddl.Member(head, HEAD_KEY, optional=False, type=str(int(message.HEAD))))

    assert tuple(fields) == CDDL.maps[name]


def test_arrays_of_fixed_length_have_named_places() -> None:
    """The places of a NamedTuple are those that the CDDL file names, in its order."""
    rows = {
        name: _row(getattr(module, class_name))
        for module, class_name, name in (
            (board, "ProtocolVersion", "protocol-version"),
            (board, "Temperature", "temperature"),
            (runs, "Entry", "entry"),
            (profile, "Cell", "cell"),
        )
    }

    assert rows == CDDL.rows


def _row(named_tuple: type) -> tuple[str, tuple[str, ...]]:
    row = next(
        found
        for message in MESSAGES.values()
        for field in fields_of(message)
        for found in _rows_in(field.wire_type)
        if found.make is named_tuple
    )
    names = tuple(name for name, _ in row.places)
    return "[" + ", ".join(spelt(kind) for _, kind in row.places) + "]", names


def _rows_in(kind: WireType | None) -> list[Row]:
    match kind:
        case Row():
            return [kind]
        case Items(item=item):
            return _rows_in(item)
        case _:
            return []


def test_every_operation_has_request_and_reply() -> None:
    """An operation's request names its own reply; both have the operation's number."""
    requests = [found for found in MESSAGES.values() if issubclass(found, Request)]

    assert {request.HEAD for request in requests} == set(Op)
    for request in requests:
        assert reply_of(request).HEAD == request.HEAD
        assert name_of(reply_of(request)) == name_of(request).replace("-request", "-reply")


def test_short_names_of_types_mean_what_their_name_says() -> None:
    """The CDDL file's own names for sizes are the limits that the host checks."""
    assert CDDL.aliases == {
        "u8": "uint .size 1",
        "u16": "uint .size 2",
        "u32": "uint .size 4",
        "u64": "uint .size 8",
        "sha256": "bstr .size 32",
        "name16": "tstr .size (0..16)",
        "name32": "tstr .size (0..32)",
    }
    assert wire_types.U32_MAX == 2**32 - 1


def test_board_has_a_name_for_each_key() -> None:
    """keys.h names each key of each message as the CDDL file does, with the same number."""
    compiled = {name: int(number) for name, number in re.findall(r"\bKEY_(\w+) = (\d+)", KEYS_H)}
    expected = {
        f"{name}_{member.name}".replace("-", "_").upper(): member.key
        for name, members in CDDL.maps.items()
        for member in members
        if member.key != HEAD_KEY
    }

    assert compiled == expected | {"OP": HEAD_KEY, "EVENT": HEAD_KEY}


def test_board_numbers_events_as_the_host_does() -> None:
    """The events of keys.h are those of the host."""
    compiled = {name: int(n) for name, n in re.findall(r"\bEVENT_(\w+) = (\d+)", KEYS_H)}

    assert compiled == {event.name: event.value for event in Event}


SPEAKERS = sorted(
    path for folder in ("link", "device") for path in (ROOT / "firmware/core" / folder).glob("*.c")
)
_NUMBERED = re.compile(
    r"tlep_(?:cbor_(?:put|key|pair|find)\w*|request_\w+|check_epoch)"
    r"\((?:[^;()]|\([^()]*\))*?, (\d+)[,)]"
)


@pytest.mark.parametrize("source", SPEAKERS, ids=lambda path: path.name)
def test_board_uses_no_bare_number_as_a_key(source: Path) -> None:
    """No call in the firmware takes a key as a number: keys have names."""
    calls = [match[0] for match in _NUMBERED.finditer(source.read_text())]

    assert calls == []


def test_a_bare_number_would_be_found() -> None:
    """The search above sees each way in which a key could be a number."""
    for call in (
        "tlep_cbor_put(w, 2, n);",
        "tlep_cbor_key(w, 11);",
        "tlep_cbor_find_u32(q->payload, q->bytes, 3, &id)",
        "tlep_request_u32(q, 1, &id)",
        "tlep_check_epoch(d, q, 4, err)",
        "tlep_cbor_pair_text(w, 1, name);",
    ):
        assert _NUMBERED.search(call) is not None


def documented(section: str) -> dict[str, list[tuple[int, bool]]]:
    """Return the keys that a section of the document names for request and reply."""
    table = re.findall(r"^\| (\d+)(\*?) \| ", section, re.MULTILINE)
    prose = re.sub(r"`\{.*?\}`", "", section, flags=re.DOTALL)
    prose = re.sub(r"ERR .*?(?=\n|$)", "", prose)
    request, reply = re.split(r"[Rr]epl(?:y|ied)", prose, maxsplit=1)
    found = {
        "request": re.findall(r"`(\d+)(\*?)`", request),
        "reply": table or re.findall(r"`(\d+)(\*?)`", reply),
    }
    return {part: [(int(key), star != "*") for key, star in keys] for part, keys in found.items()}


@pytest.mark.parametrize("op", list(Op), ids=lambda op: op.name)
@pytest.mark.parametrize("part", ["request", "reply"])
def test_document_names_the_same_keys(op: Op, part: str) -> None:
    """Each operation's section names the keys of request and reply; a star marks the required."""
    start = MARKDOWN.index(f"\n### {op.value} {op.name}")
    section = re.split(r"\n##+ ", MARKDOWN[start + 1 :])[0]
    members = CDDL.maps[f"{op.name.lower().replace('_', '-')}-{part}"]
    expected = [(m.key, m.optional) for m in members if m.key != HEAD_KEY]

    assert documented(section)[part] == expected


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("error-reply", r"`ERR` payload: `\{(.+?)\}`"),
        ("upload-data", r"`DATA` payload: CBOR map `\{(.+?)\}`"),
        ("upload-ack", r"`ACK` `\{(.+?)\}`"),
        ("token-event", r"`\{(0: 1 \(TOKEN\).+?)\}`"),
        ("prefill-event", r"`\{(0: 2 \(PREFILL\).+?)\}`"),
        ("done-event", r"`\{(0: 3 \(DONE\).+?)\}`"),
        ("boot-event", r"`\{(0: 4 \(BOOT\).+?)\}`"),
    ],
)
def test_document_shows_the_same_keys_of_other_frames(name: str, shown: str) -> None:
    """Errors, DATA, ACK and events are maps in the document's prose, with the same keys."""
    found = re.search(shown, MARKDOWN)
    assert found is not None
    keys = [int(key) for key in re.findall(r"(?:^|, )(\d+)\*?: ", found[1])]

    assert keys == [member.key for member in CDDL.maps[name]]
