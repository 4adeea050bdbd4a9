"""The firmware's CBOR writer, called directly: maps of any number of keys."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import cbor2
import pytest

CORE = Path(__file__).resolve().parents[2] / "firmware" / "core"


class Writer(ctypes.Structure):
    """`tlep_cbor_writer` of cbor.h."""

    _fields_ = (
        ("buffer", ctypes.c_void_p),
        ("capacity", ctypes.c_uint32),
        ("bytes", ctypes.c_uint32),
        ("keys", ctypes.c_uint32),
        ("overflow", ctypes.c_bool),
    )


@pytest.fixture(scope="module")
def cbor(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    library = tmp_path_factory.mktemp("cbor") / "cbor.so"
    command = ["cc", "-std=c99", "-Wall", "-Werror", "-shared", "-fPIC", f"-I{CORE}"]
    subprocess.run([*command, str(CORE / "link" / "cbor.c"), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def map_of(cbor: ctypes.CDLL, n_keys: int, capacity: int) -> bytes | None:
    """Write {0: 0, 1: 1, ...}; None when the writer says that it does not fit."""
    buffer = ctypes.create_string_buffer(b"\xee" * (capacity + 1), capacity + 1)
    writer = Writer()
    cbor.tlep_cbor_begin(ctypes.byref(writer), buffer, ctypes.c_uint32(capacity))
    for key in range(n_keys):
        cbor.tlep_cbor_put(ctypes.byref(writer), ctypes.c_uint32(key), ctypes.c_uint64(key))
    assert buffer.raw[capacity:] == b"\xee"  # nothing behind the end
    return None if writer.overflow else buffer.raw[: writer.bytes]


@pytest.mark.parametrize("n_keys", [0, 1, 22, 23, 24, 25, 100, 255])
def test_map_has_as_many_keys_as_were_written(cbor: ctypes.CDLL, n_keys: int) -> None:
    """A map's head counts its keys, in the shortest form, also past the 23 that one byte holds."""
    assert map_of(cbor, n_keys, 2000) == cbor2.dumps({key: key for key in range(n_keys)})


@pytest.mark.parametrize("n_keys", [1, 23, 24, 60])
def test_map_that_does_not_fit_is_an_overflow(cbor: ctypes.CDLL, n_keys: int) -> None:
    """One byte too few, wherever it is missing, is told; with exactly enough the map is whole."""
    whole = cbor2.dumps({key: key for key in range(n_keys)})

    assert map_of(cbor, n_keys, len(whole)) == whole
    assert all(map_of(cbor, n_keys, capacity) is None for capacity in range(1, len(whole)))


def test_more_keys_than_the_writer_counts_are_an_overflow(cbor: ctypes.CDLL) -> None:
    """The 256th key is told, and never wraps the count."""
    assert map_of(cbor, 256, 2000) is None
