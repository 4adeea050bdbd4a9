"""The store's one Lua script and the files that it is joined of."""

from __future__ import annotations

import importlib.resources
import re

from edgeprof.shared.store.job_values import NoClaim
from edgeprof.shared.store.script import LUA_FILES, lua_source
from edgeprof.shared.types.job import board_queue, platform_queue


def test_every_lua_file_is_joined_once() -> None:
    """Each file of lua/ is in the script exactly once: one that is forgotten would never run."""
    folder = importlib.resources.files("edgeprof.shared.store").joinpath("lua")
    files = [entry.name for entry in folder.iterdir()]

    assert sorted(f"{name}.lua" for name in LUA_FILES) == sorted(files)
    for name in files:
        text = folder.joinpath(name).read_text()
        assert lua_source().count(text) == 1


def test_lua_files_stay_short() -> None:
    """A Lua file has under 300 lines and begins with a comment that says what lives there."""
    folder = importlib.resources.files("edgeprof.shared.store").joinpath("lua")
    for entry in folder.iterdir():
        lines = entry.read_text().splitlines()
        assert len(lines) < 300, entry.name
        assert lines[0].startswith("-- "), entry.name


def test_reasons_of_a_refused_claim_are_those_of_the_script() -> None:
    """Script and enum have the same reasons under the same names; only MALFORMED is found in
    Python."""
    table = re.search(r"^local NO_CLAIM = \{(.*?)^\}", lua_source(), re.MULTILINE | re.DOTALL)
    assert table is not None
    in_lua = dict(re.findall(r"(\w+) = '([^']*)'", table[1]))

    in_python = {reason.name: reason.value for reason in NoClaim if reason is not NoClaim.MALFORMED}

    assert in_lua == in_python


def test_a_refused_claim_names_a_reason_of_the_table() -> None:
    """Every reason is used, none is misspelled, and commands.claim returns no text of its own."""
    used = set(re.findall(r"NO_CLAIM\.(\w+)", lua_source()))
    claim = re.search(r"^function commands\.claim.*?^end", lua_source(), re.MULTILINE | re.DOTALL)
    assert claim is not None
    refusals = re.findall(r"return \{(.*?)\}", claim[0])

    assert used == {reason.name for reason in NoClaim} - {"MALFORMED"}
    assert refusals
    assert not any("'" in refusal for refusal in refusals)


def test_names_of_queues_are_the_same_in_lua() -> None:
    """The script makes a queue's name as types/job.py does."""
    prefixes = re.search(r"BOARD_QUEUE, PLATFORM_QUEUE = '(.*)', '(.*)'", lua_source())

    assert prefixes is not None
    assert prefixes.groups() == (board_queue(""), platform_queue(""))
    assert lua_source().count("'board.'") == lua_source().count("'platform.'") == 1
