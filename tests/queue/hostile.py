"""Messages that are almost ours: a valid one with a value replaced, removed, doubled, or its bytes
damaged."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

#: Every JSON type with its extremes, and values that other fields of a message may hold.
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    7,
    2**63,
    10**400,
    0.5,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\x00",
    "\udcff",
    "../../x",
    "2099-01-01T00:00:00",
    "os.system",
    "application/x-python-serialize",
    "x" * 3000,
    [],
    [1, 2],
    ["x"],
    [[]],
    {},
    {"x": 1},
    {"id": {"id": []}},
)

#: Fields to add to a message. Ours do not have them, and Celery or kombu acts on them.
MORE: dict[str, Any] = {
    "eta": "2099-01-01T00:00:00+00:00",
    "expires": "2001-01-01T00:00:00+00:00",
    "timelimit": 7,
    "compression": "gzip",
    "redelivered": True,
    "callbacks": [{"task": "x"}],
    "chord": {"task": "x"},
    "args": ["x"],
    "consumer_tag": "x",
}

#: Whole messages.
ODD: tuple[bytes, ...] = (
    b"",
    b"\x00",
    b"x",
    b"[]",
    b"{}",
    b"7",
    b"null",
    b"true",
    b"NaN",
    b'"x"',
    b'"\xff\xfe"',
    b'"\\ud800"',
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 3000 + b"1" + b"}" * 3000,
    b"9" * 5000,
    b"\x80\x04K\x01.",
)

Path = tuple[str | int, ...]


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every place in a message, outermost first."""
    yield path
    if isinstance(value, dict):
        for name in value:
            yield from places(value[name], (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index))


def opened(message: str) -> Any:
    """A message with its body as JSON, to be reached into."""
    found = json.loads(message)
    return found | {"body": json.loads(base64.b64decode(found["body"]))}


def closed(message: Any) -> bytes:
    """Turn a message into bytes. A body that is no list stays as it is, and so does all that JSON
    forbids."""
    if isinstance(message, dict) and isinstance(message.get("body"), list):
        body = json.dumps(message["body"]).encode()
        message = message | {"body": base64.b64encode(body).decode()}
    return json.dumps(message).encode()


def put(message: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    message = copy.deepcopy(message)
    at = message
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return message


def without(message: Any, path: Path) -> Any:
    message = copy.deepcopy(message)
    at = message
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]
    return message


def each(message: str) -> Iterator[tuple[str, list[bytes]]]:
    """Every place with every value, the place removed, and a field more: batches with a name."""
    whole = opened(message)
    yield "whole", list(ODD)
    for path in places(whole):
        batch = [closed(put(whole, path, value)) for value in VALUES]
        if path:
            batch.append(closed(without(whole, path)))
        at = whole
        for step in path:
            at = at[step]
        if isinstance(at, dict):
            batch += [closed(put(whole, (*path, name), MORE[name])) for name in MORE]
        yield "/".join(map(str, path)) or "root", batch


def damaged(message: str) -> st.SearchStrategy[bytes]:
    """Anything made from a message: one or two places changed, bytes cut, inserted or flipped."""
    whole = opened(message)
    everywhere = list(places(whole))
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=5,
    )

    def changed(changes: list[tuple[Path, Any]]) -> bytes:
        made = whole
        for path, value in changes:
            try:
                made = put(made, path, value)
            except (TypeError, KeyError, IndexError):
                continue  # the change before took the place away
        return closed(made)

    raw = message.encode()
    cut = st.integers(0, len(raw) - 1)
    return st.one_of(
        st.lists(st.tuples(st.sampled_from(everywhere), anything), min_size=1, max_size=2).map(
            changed
        ),
        cut.map(lambda at: raw[:at]),
        st.tuples(cut, st.binary(min_size=1, max_size=4)).map(
            lambda found: raw[: found[0]] + found[1] + raw[found[0] :]
        ),
        st.tuples(cut, st.binary(min_size=1, max_size=1)).map(
            lambda found: raw[: found[0]] + found[1] + raw[found[0] + 1 :]
        ),
        st.binary(max_size=50),
    )
