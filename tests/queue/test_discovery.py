"""Boards come and go: watched ports, real firmware behind ttys, one agent."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeprof.shared.errors import HostFault
from edgeprof.shared.types.board import BoardState
from edgeprof.workers.board.config import BoardConfig, Boards, HubPort, ResetCommand, load_boards
from edgeprof.workers.board.reset import reset
from edgeprof.workers.host.discovery import Watcher
from tests.support.null_lab import Rig
from tests.support.pty_board import PtyBoard

AGENT = "import typer; from edgeprof.workers.cli import worker; typer.run(worker)"


@pytest.fixture
def ports(tmp_path: Path) -> Path:
    """A folder like /dev/serial/by-id."""
    folder = tmp_path / "by-id"
    folder.mkdir()
    return folder


@pytest.fixture
def plug(ports: Path) -> Iterator[Callable[[str], PtyBoard]]:
    """`plug(uid)`: a board that is plugged in, and pulled at the end unless the test did."""
    there: list[PtyBoard] = []

    def plug_in(uid: str) -> PtyBoard:
        there.append(PtyBoard(ports, uid, 0))
        there[-1].plug_in()
        return there[-1]

    yield plug_in
    for board in there:
        if board.path.is_symlink():
            board.pull()


@pytest.fixture
def start_agent(rig: Rig, ports: Path, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """`start_agent(toml)`: an agent that watches the ports, and what boards.toml says besides."""
    agents: list[subprocess.Popen[bytes]] = []

    def start(toml: str = "") -> None:
        path = tmp_path / "boards.toml"
        path.write_text(f'watch = ["{ports}/*"]\n{toml}')
        command = [sys.executable, "-c", AGENT, "--boards", str(path)]
        environment = {**os.environ, **rig.settings.as_environment()}
        agents.append(subprocess.Popen(command, env=environment))

    yield start
    for agent in agents:
        agent.terminate()
        assert agent.wait(30) == 0


def board(rig: Rig, name: str) -> Any:
    return next((b for b in rig.store.boards.all() if b.device_id == name), None)


@pytest.mark.e2e
def test_board_is_known_by_its_uid_wherever_it_is_plugged_in(
    rig: Rig, plug: Callable[[str], PtyBoard], start_agent: Callable[..., None], ports: Path
) -> None:
    """A worker when it appears, offline when it goes, and the same board on another port."""
    start_agent()
    first = plug("00aa")
    rig.until_board("native-00aa", BoardState.ONLINE)

    first.pull()
    rig.until_board("native-00aa", BoardState.OFFLINE)
    again = plug("00aa")
    again.path.rename(ports / "another-port")
    again.path = ports / "another-port"
    rig.until_board("native-00aa", BoardState.ONLINE)

    assert [b.device_id for b in rig.store.boards.all()] == ["native-00aa"]
    assert board(rig, "native-00aa").url == str(ports / "another-port")


@pytest.mark.e2e
def test_boards_toml_names_a_board_by_its_uid(
    rig: Rig, plug: Callable[[str], PtyBoard], start_agent: Callable[..., None]
) -> None:
    """Name and tags are its own, whatever the port is called."""
    plug("00bb")
    start_agent('[[board]]\nuid = "00bb"\nid = "bench-3"\ntags = { shelf = "left" }\n')

    rig.until_board("bench-3", BoardState.ONLINE)
    assert board(rig, "bench-3").tags == {"shelf": "left"}


@pytest.mark.e2e
def test_what_does_not_answer_hello_is_left_alone(
    rig: Rig, start_agent: Callable[..., None], ports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A modem on a watched port is opened ever less often, and is no board of the lab."""
    theirs, ours = pty.openpty()
    (ports / "modem").symlink_to(os.ttyname(ours))
    start_agent()

    def left_alone() -> bool:
        logs = rig.settings.log_dir
        return logs.is_dir() and any("left alone" in p.read_text() for p in logs.iterdir())

    rig.wait_until(left_alone, "the agent leaves the port alone", timeout_s=60)
    os.close(theirs)
    os.close(ours)
    assert rig.store.boards.all() == []


@pytest.mark.e2e
def test_a_board_that_shows_two_ports_is_driven_once(
    rig: Rig, plug: Callable[[str], PtyBoard], start_agent: Callable[..., None], ports: Path
) -> None:
    """Two boards with one uid are refused, loudly: the second one's worker says who has it."""
    plug("00cc")
    twin = PtyBoard(ports, "00cc", 0)
    twin.path = ports / "twin"
    start_agent()
    rig.until_board("native-00cc", BoardState.ONLINE)
    twin.plug_in()

    def refused() -> bool:
        texts = [p.read_text() for p in rig.settings.log_dir.iterdir()]
        return any("already driven by process" in text for text in texts)

    rig.wait_until(refused, "the second board is refused")
    twin.pull()


@pytest.mark.e2e
def test_a_board_blinks_when_asked(
    rig: Rig, plug: Callable[[str], PtyBoard], start_agent: Callable[..., None]
) -> None:
    """`edgeprof boards identify`, through store, worker and link to the firmware."""
    plug("00dd")
    start_agent()
    rig.until_board("native-00dd", BoardState.ONLINE)

    done = subprocess.run(
        [sys.executable, "-m", "edgeprof.cli", "boards", "identify", "native-00dd"],
        check=False,
        env={**os.environ, **rig.settings.as_environment()},
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "native-00dd blinks")


def test_watcher_leaves_out_what_it_is_told(tmp_path: Path) -> None:
    """Excluded ports, ports that are driven by name, and second names of one device."""
    for name in ("a", "b", "c"):
        (tmp_path / name).touch()
    (tmp_path / "z").symlink_to(tmp_path / "a")
    boards = Boards(
        watch=(f"{tmp_path}/*",),
        exclude=("*/b",),
        board=(BoardConfig(url=str(tmp_path / "c")),),
    )

    assert Watcher(boards).ports() == {str(tmp_path / "a")}


def test_identical_adapters_without_serial_numbers_are_both_watched(tmp_path: Path) -> None:
    """They share one name by id, which udev gives to the last one; by path each has its own. One
    that is excluded by one name is excluded by all."""
    for folder in ("dev", "by-id", "by-path"):
        (tmp_path / folder).mkdir()
    for number in (0, 1, 2):
        tty = tmp_path / "dev" / f"ttyUSB{number}"
        tty.touch()
        (tmp_path / "by-path" / f"port-{number}").symlink_to(tty)
    (tmp_path / "by-id" / "usb-CH340").symlink_to(tmp_path / "dev" / "ttyUSB1")
    (tmp_path / "by-id" / "usb-modem").symlink_to(tmp_path / "dev" / "ttyUSB2")
    watch = (f"{tmp_path}/by-id/*", f"{tmp_path}/by-path/*")

    watched = Watcher(Boards(watch=watch, exclude=("*modem*",))).ports()

    assert watched == {f"{tmp_path}/by-id/usb-CH340", f"{tmp_path}/by-path/port-0"}


def test_reset_command_gets_the_port_and_no_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words are passed as they are, and no login of ours."""
    out = tmp_path / "out"
    script = (
        "import os, sys; secret = 'EDGEPROF_REDIS_URL' in os.environ;"
        f"open({str(out)!r}, 'w').write(repr([*sys.argv[1:], secret]))"
    )
    monkeypatch.setenv("EDGEPROF_REDIS_URL", "redis://:secret@h")
    command = ResetCommand(command=(sys.executable, "-c", script, "{port}", "; echo $HOME"))

    reset(BoardConfig(url="/dev/x", reset=command))

    assert out.read_text() == repr(["/dev/x", "; echo $HOME", False])


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (ResetCommand(command=("false",)), "exit 1"),
        (ResetCommand(command=("no-such-tool",)), "no-such-tool"),
        (HubPort(hub="1-1.2", port=3), "uhubctl"),
        ("dtr", "cannot pulse DTR"),
    ],
)
def test_reset_that_fails_says_why(
    how: Any, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed reset names the tool or line that failed."""
    if isinstance(how, HubPort):
        tool = tmp_path / "uhubctl"
        tool.write_text("#!/bin/sh\necho no such hub >&2\nexit 1\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(HostFault, match=words) as caught:
        reset(BoardConfig(url=str(tmp_path / "nothing"), reset=how))

    assert caught.value.code == "reset_failed"


def test_hub_port_is_power_cycled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """uhubctl is called for the port, and nothing else is switched."""
    tool = tmp_path / "uhubctl"
    tool.write_text(f"#!/bin/sh\necho $@ > {tmp_path}/called\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    reset(BoardConfig(url="/dev/x", reset=HubPort(hub="1-1.2", port=3)))

    assert (tmp_path / "called").read_text().split() == [
        "-l",
        "1-1.2",
        "-p",
        "3",
        "-a",
        "cycle",
        "-d",
        "1",
    ]


def test_board_file_shows_all_there_is(tmp_path: Path) -> None:
    """The example at the head of the code is one that works."""
    path = tmp_path / "boards.toml"
    text = sys.modules[BoardConfig.__module__].__doc__
    assert text is not None
    path.write_text(text[text.index("watch =") :])

    boards = load_boards(path, [])

    assert boards.board[0].reset == "dtr"
    assert [b.url for b in boards.fixed] == ["/dev/ttyS4"]
