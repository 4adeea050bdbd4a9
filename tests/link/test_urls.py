"""URLs and names of ports that can never work are told before anything is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.shared.errors import UsageError
from edgeprof.workers.board.config import check_ports, load_boards
from edgeprof.workers.emulated.check import check_url

NEVER = [
    ("", "empty"),
    (" ", "empty"),
    ("nativ://", "did you mean 'native'"),
    ("http://x", "unknown scheme"),
    ("COM3", "Windows"),
    (r"\\.\COM12", "Windows"),
    ("ttyUSB0", "full path"),
    ("./board", "full path"),
    ("native://?uidd=01", "did you mean 'uid'"),
    ("native://?uid=zz", "uid=zz"),
    ("native://?uid", "uid="),
    ("native://?uid=012", "uid=012"),
    ("native://?uid=01&uid=02", "twice"),
    ("native:///x", "'/x'"),
    ("native://?ram=all", "ram=all"),
    ("native://?ram=99999999999", "at most"),
    ("native://?fault=hang", "fault=hang"),
    ("native://?fault=11:1", "fault=11:1"),
    ("native://elsewhere?uid=01", "no such build"),
    ("native://native-asna?uid=01", "did you mean 'native-asan'"),
    ("qemu://riscv32-virt?slot=/s", "no flash"),
    ("qemu://", "no such port"),
    ("qemu://esp32s3", "no such port"),
    ("qemu://stm32f4O5", "did you mean 'stm32f405'"),
    ("qemu://stm32f405?uid=010203040506070809", "1 to 8 bytes"),
    ("qemu://stm32f405?seed=x", "seed=x"),
    ("rp2040js://rp2350", "did you mean 'rp2040'"),
    ("rp2040js://rp2040?uid=", "1 to 8 bytes"),
    ("rfc2217://", "host or port"),
    ("rfc2217://here", "host or port"),
    ("rfc2217://:2217", "host or port"),
    ("rfc2217://here:99999", "out of range"),
    ("rfc2217://here:http", "integer"),
    ("socket://here:0", "host or port"),
    ("rfc2217://here:1?loging=debug", "did you mean 'logging'"),
    ("socket://here:1?timeout=1", "'timeout'"),
    ("rfc2217://here:1?timeout=soon", "timeout=soon"),
    ("socket://[::1:80", "IPv6"),
    ("hwgrep://(", "regular expression"),
    ("hwgrep://x&m=2", "'m'"),
    ("hwgrep://x&n=1", "n=1"),
    ("alt:///dev/ttyS0?class=Popen", "class=Popen"),
    ("alt://ttyS0", "full path"),
    ("spy://COM1", "Windows"),
    ("spy:///dev/ttyS0?colour", "did you mean 'color'"),
    ("loop://?x", "'x'"),
    ("cp2110://1", "hid"),
    ("/dev", "a folder"),
    ("/etc/passwd", "a regular file"),
    ("/dev/null", "no terminal"),
    ("/dev/tty\n", "control"),
]

MAY_BE = [
    "/dev/ttyUSB77",
    "/dev/serial/by-id/usb-not-yet",
    "/dev/ptmx",
    "native://",
    "NATIVE://?uid=0a",
    "native://?uid=0011&temperature=-5000&line_rate=115200",
    "native://?fault=1:5",
    "native://native-asan?uid=01",
    "qemu://stm32f405?uid=01&seed=7",
    "rp2040js://rp2040?uid=01&seed=7",
    "socket://10.0.0.1:2217",
    "socket://[::1]:80?logging=debug",
    "rfc2217://lab.example:2217?ign_set_control&timeout=3",
    "hwgrep://0483:374b&n=2&skip_busy",
    "alt:///dev/ttyUSB0?class=PosixPollSerial",
    "spy:///dev/ttyUSB0?color&file=x",
    "loop://",
]


@pytest.mark.parametrize(("url", "words"), NEVER)
def test_what_can_never_work_is_a_usage_error(url: str, words: str) -> None:
    """The error names the URL and what is wrong with it; a near miss is guessed."""
    with pytest.raises(UsageError) as caught:
        check_url(url)

    assert words in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("url", MAY_BE)
def test_what_may_come_is_waited_for(url: str) -> None:
    """A port that is not plugged in, or a server that does not run yet, is no mistake."""
    check_url(url)


@given(st.text(max_size=40) | st.builds("{}://{}".format, st.sampled_from(
    ["native", "qemu", "rp2040js", "labwired", "rfc2217", "socket", "hwgrep", "alt", "spy", "loop",
     "cp2110", "x"]
), st.text(alphabet="?&=:/[]@#%.0aé\x00 ", max_size=20)))  # fmt: skip
def test_no_url_is_too_strange_to_be_judged(url: str) -> None:
    """Any text is fine or a UsageError in one line."""
    try:
        check_url(url)
    except UsageError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right


def test_place_of_a_wrong_url_is_named(tmp_path: Path) -> None:
    """The board in boards.toml, or the option."""
    path = tmp_path / "boards.toml"
    path.write_text('[[board]]\nuid="0a"\n[[board]]\nurl="nativ://"\n')
    path.write_text('watch=["/dev/x*"]\n' + path.read_text())
    with pytest.raises(UsageError, match=r"boards\.toml: board 2: url: nativ://: unknown scheme"):
        check_ports(load_boards(path, []), path, [])
    with pytest.raises(UsageError, match=r"^--board COM3: "):
        check_ports(load_boards(None, ["COM3"]), None, ["COM3"])
    with pytest.raises(UsageError, match="1 to 1024 characters"):
        load_boards(None, [""])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "[[board]]\nurl='/dev/x'\nbauds=9600\n",
            "board 1: unknown key 'bauds', did you mean 'baud'",
        ),
        (
            "[[board]]\nurl='/dev/x'\n[[board]]\nurl='/dev/y'\nbaud='fast'\n",
            "board 2: baud is 'fast'",
        ),
        ("[[board]]\nurl='/dev/x'\nbaud=0\n", "whole number from 1"),
        ("[[board]]\nurl='/dev/x'\nbaud=1.5\n", "whole number from 1"),
        ("[[board]]\nurl=7\n", "board 1: url is 7"),
        ("[[board]]\nurl=''\n", "a port or a URL"),
        ("[[board]]\nuid='XY'\nurl='/dev/x'\n", "lower-case hex"),
        ("[[board]]\nurl='/dev/x'\nflash='st-flash write'\n", "a list of words"),
        (
            "[[board]]\nurl='/dev/x'\nreset={hub='1-1',prot=3}\n",
            "reset is {'hub': '1-1', 'prot': 3}",
        ),
        ("[[board]]\nurl='/dev/x'\ntags=['a']\n", "a list of names with values"),
        ("[[board]]\nurl='/dev/x'\nwatched=true\n", "unknown key 'watched'"),
        ("[board]\nurl='/dev/x'\n", "[[board]]"),
        ("board='x'\n", "[[board]]"),
        ("board=['x']\n", "[[board]]"),
        ("wacth=['/dev/x']\n", "did you mean 'watch'"),
        ("watch='/dev/x'\n", "a list of patterns"),
    ],
)
def test_mistakes_in_the_file_are_told_in_its_words(tmp_path: Path, text: str, words: str) -> None:
    """File, board and key, what is written there, and what has to be: no word of a library's."""
    path = tmp_path / "boards.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_boards(path, [])

    told = f"{caught.value} {caught.value.hint}"
    assert "boards.toml" in told
    assert words in told
    assert "Input should" not in told
    assert "Extra inputs" not in told


@pytest.mark.parametrize(
    "arguments",
    [
        ("--board", "nativ://"),
        ("--board", ""),
        ("--board", "COM3"),
        ("--board", "rfc2217://here:99999"),
        ("--board", "native://?uid=01", "--board", "qemu://esp32s3"),
        ("--boards", "boards.toml"),
    ],
)
def test_worker_ends_at_once_with_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A wrong --board ends `edgeprof worker` with 2 before anything is started, without a
    traceback."""
    (tmp_path / "boards.toml").write_text("[[board]]\nurl = 'native://?uid=zz'\n")
    done = subprocess.run(
        [sys.executable, "-m", "edgeprof.cli", "worker", *arguments],
        cwd=tmp_path, env={**os.environ, "EDGEPROF_DATA_DIR": str(tmp_path / "data")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 2, done.stderr
    assert "bug" not in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()
