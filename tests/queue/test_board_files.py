"""boards.toml and --board: which boards a host agent drives."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeprof.shared.errors import UsageError
from edgeprof.workers.board.config import WATCHED, load_boards


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[board]]\n", "board 1: a board needs a url"),
        ("[[board]]\nurl='x'\nid='no spaces'\n", "board 1: id is 'no spaces'"),
        ("[[board]]\nurl='x'\nspeed=1\n", "board 1: unknown key 'speed'"),
        ("[[board\n", "not TOML"),
        ("", "names no boards"),
        ("[[board]]\nid='a'\n", "needs a url"),
        ("[[board]]\nuid='0a'\n", "no ports are watched"),
        ("[[board]]\nurl='x'\nreset='hard'\n", "reset"),
        ("[[board]]\nurl='x'\n[[board]]\nurl='x'\n", "two boards have the url 'x'"),
        ("[[board]]\nurl='x'\nid='a'\n[[board]]\nurl='y'\nid='a'\n", "two boards have the id 'a'"),
    ],
)
def test_bad_board_file_names_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    """One line that says where to look."""
    path = tmp_path / "boards.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_boards(path, [])

    assert words in str(caught.value)


def test_boards_come_from_file_and_command_line(tmp_path: Path) -> None:
    """The boards of --board are added to those of boards.toml."""
    path = tmp_path / "boards.toml"
    path.write_text('[[board]]\nurl = "/dev/ttyACM0"\nid = "a"\nflash = ["tool", "{slot}"]\n')

    boards = load_boards(path, ["native://?uid=01"]).board

    assert [board.url for board in boards] == ["/dev/ttyACM0", "native://?uid=01"]
    assert boards[0].flash == ("tool", "{slot}")


def test_without_a_list_what_is_plugged_in_is_driven() -> None:
    """All USB serial ports, under the names that outlive a replug."""
    boards = load_boards(None, [])

    assert (boards.watch, boards.board) == (WATCHED, ())
