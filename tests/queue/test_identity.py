"""Machines and users with odd names, or none, can use the lab."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.client import Request
from edgeprof.shared import identity
from edgeprof.shared.settings import Settings
from edgeprof.shared.types.wire import is_name


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """The name is asked for once a process."""
    identity.host_name.cache_clear()
    yield
    identity.host_name.cache_clear()


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("bench-3.lab.example", "bench-3"),
        ("Büro_2", r"Buro_2"),
        ("-x", "x"),
        ("my host", "my-host"),
        ("", "localhost"),
        (".", "localhost"),
    ],
)
def test_host_name(monkeypatch: pytest.MonkeyPatch, called: str, name: str) -> None:
    """A usable name stays as it is; of another, what can be spelled in ASCII stays."""
    monkeypatch.setattr(socket, "gethostname", lambda: called)

    assert Settings().host == name


@given(st.text(max_size=300))
def test_any_host_name_is_made_a_name(called: str) -> None:
    """Settings can be read whatever host name the system has."""
    assert is_name(identity._made_of(called))


def test_unspeakable_names_stay_apart() -> None:
    """Two machines whose names have no letter of ours, or the same first 64, are two in the lab."""
    names = ["机器一", "机器二", "x" * 70 + "1", "x" * 70 + "2", "ß1", "ø1"]

    assert len({identity._made_of(name) for name in names}) == len(names)


def test_it_is_said_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The person learns which name is used and how to choose another, once a process."""
    monkeypatch.setattr(socket, "gethostname", lambda: "机器")
    Settings()
    Settings()

    (record,) = caplog.records
    assert "EDGEPROF_HOST" in record.getMessage()
    assert Settings().host in record.getMessage()


def test_user_without_an_entry_goes_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run as a uid that /etc/passwd does not have."""

    def nobody() -> Any:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)

    assert Request(model="m").user == f"uid-{os.getuid()}"


def test_long_user_name_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job's record takes 64 characters."""
    monkeypatch.setattr(getpass, "getuser", lambda: "u" * 200)

    assert len(identity.user_name()) == 64
