"""The store's one Lua script and the files that it is joined of."""

from __future__ import annotations

import importlib.resources

from edgeprof.shared.store.script import LUA_FILES, lua_source


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
