"""Boards that are chosen by tag, reserved, and drained with their host, as a user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from edgeprof.cli.app import app
from edgeprof.cli.boards_reserve import duration_s
from edgeprof.cli.render.tables import boards_sheet
from edgeprof.client.console import PlainConsole
from edgeprof.shared.errors import EdgeprofError, UsageError
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import Owner
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.board import BoardState
from tests.support.board_infos import null_board

Call = Callable[..., str]


@pytest.fixture
def store(settings: Settings) -> Iterator[LabStore]:
    """A lab with two boards of host h: "big", which has tags and runs a job of bob, and "small"."""
    with LabStore.open(settings) as opened:
        big = {"tags": {"psram": "8MB", "lab": "berlin"}, "job_id": "job1", "job_user": "bob"}
        for board in (
            null_board("big").model_copy(update=big | {"state": BoardState.BUSY}),
            null_board("small"),
        ):
            opened.boards.announce(Owner("h", "d", board.uid), board, 60)
        yield opened


@pytest.fixture
def call(store: LabStore, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Call:
    """`call("ann", "boards")`: run a command as a user in this process; raises its error."""
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)

    def run(user: str, *words: str) -> str:
        done = CliRunner().invoke(app, words, env={"LOGNAME": user})
        if isinstance(done.exception, EdgeprofError):
            raise done.exception
        return done.output

    return run


def test_boards_are_listed_by_tag(call: Call) -> None:
    """All tags of a call have to be there; in JSON as well."""
    listed = call("ann", "boards", "--tag", "psram=8MB", "--tag", "lab=berlin", "--json")
    (board,) = json.loads(listed)
    assert (board["device_id"], board["job_user"]) == ("big", "bob")
    assert board["tags"] == {"psram": "8MB", "lab": "berlin"}
    assert "no board with psram=4MB" in call("ann", "boards", "--tag", "psram=4MB")
    with pytest.raises(UsageError, match="no tag"):
        call("ann", "boards", "--tag", "psram")
    with pytest.raises(UsageError, match="psram is '8MB' and '4MB'"):
        call("ann", "boards", "--tag", "psram=8MB", "--tag", "psram=4MB")


@pytest.mark.parametrize("width", [80, 100, 120])
def test_who_uses_a_board_is_seen_on_every_terminal(store: LabStore, width: int) -> None:
    """Firmware, tags, user and when it was seen fit 80 columns; memory and clock make room."""
    console = PlainConsole(width=width, force_terminal=True)
    kept = [c.heading for c in boards_sheet(store.boards.all(), 0).fitted(console).columns]

    assert {"board", "state", "firmware", "tags", "seen", "user"} <= set(kept)


def test_submit_wants_tags_of_boards(call: Call, store: LabStore) -> None:
    """A tag that no board has is refused; else the job says which board it waits for."""
    submit = ("submit", "-m", "shakespeare-240k", "--platform", "null", "--no-wait")
    with pytest.raises(UsageError, match="no board of null has the tag psram=4MB") as refused:
        call("ann", *submit, "--tag", "psram=4MB")
    assert "big: lab=berlin, psram=8MB; small: no tags" in str(refused.value)
    waits = call("ann", *submit, "--tag", "psram=4MB", "--wait-for-board").split()[0]

    shown = call("ann", "job", waits)

    assert "psram=4MB" in shown
    assert "waits for a board null with psram=4MB: no worker has announced one" in shown


def test_a_reservation_is_told_to_everybody(call: Call) -> None:
    """Who has it, until when and why, in the list and to whoever wants it as well."""
    said = call("ann", "boards", "reserve", "big", "--for", "2h", "--reason", "new kernel")
    assert "big runs only jobs of ann until 20" in said
    assert "it still runs job job1 of bob" in said
    assert "reserved by ann until 20" in " ".join(call("bob", "boards").split())
    told: Any = json.loads(call("bob", "boards", "--json"))[0]["reservation"]
    assert (told["user"], told["reason"]) == ("ann", "new kernel")
    for words in (("reserve", "big", "--for", "1h"), ("release", "big")):
        with pytest.raises(UsageError, match=r"reserved by ann until 20.* UTC: new kernel"):
            call("bob", "boards", *words)
    assert "all users again" in call("bob", "boards", "release", "big", "--force")
    assert "was not reserved" in call("ann", "boards", "release", "big")
    for words in (("reserve", "gone", "--for", "1h"), ("release", "gone")):
        with pytest.raises(UsageError, match="no board 'gone'"):
            call("ann", "boards", *words)


def test_durations_have_units() -> None:
    """Nobody means two seconds by 2; what is too short or too long is told as such."""
    assert [duration_s(text) for text in ("30m", "90min", "1.5h", "7d")] == [
        1800, 5400, 5400, 604_800,
    ]  # fmt: skip
    for text in ("2", "", "h", "-1h", "2 weeks", "1e9h", "tomorrow", "0s", "8d", "9" * 40 + "h"):
        with pytest.raises(UsageError, match="--for"):
            duration_s(text)


def test_a_host_is_drained_as_a_whole(call: Call, store: LabStore) -> None:
    """The list says why; a typo drains nothing."""
    said = call("ann", "boards", "drain", "--host", "h", "--reason", "moves")
    assert "big still runs job job1" in said
    assert {(board.state, board.reason) for board in store.boards.all()} == {
        (BoardState.DRAINING, "host h is drained: moves")
    }
    assert "resume --host h" in call("ann", "boards", "resume", "small")
    assert "take jobs again" in call("ann", "boards", "resume", "--host", "h")
    assert {board.state for board in store.boards.all()} == {BoardState.ONLINE, BoardState.BUSY}
    for words, why in (
        (("drain", "--host", "hh"), "no host 'hh' in the lab, did you mean 'h'"),
        (("drain", "big", "--host", "h"), "either boards or a host"),
        (("drain", "--host", "h", "--release-port"), "is of boards"),
        (("drain",), "name boards, or --host"),
        (("resume",), "name boards, or --host"),
    ):
        with pytest.raises(UsageError, match=why):
            call("ann", "boards", *words)
