"""`edgeprof boards log` and `edgeprof console`, as far as they need no board."""

from __future__ import annotations

import json
import re
import threading
from io import StringIO

import pytest

from edgeprof.cli import boards_log
from edgeprof.cli.render.log_lines import LogPrinter
from edgeprof.client.console import PlainConsole
from edgeprof.shared.errors import BoardNotFound, HostFault, UsageError
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.board_logs import BoardLogs, LogLine
from edgeprof.shared.store.boards import Owner
from edgeprof.shared.store.lab import LabStore
from edgeprof.workers import console_command
from edgeprof.workers.link.port import lock_port
from tests.support.board_infos import null_board

LINES = [
    {"timestamp": f"2026-11-2{day}T09:15:0{day}.123+00:00", "level": level, "logger": "l"} | more
    for day, level, more in (
        (5, "INFO", {"message": "Device connected"}),
        (6, "ERROR", {"message": "no answer to RUN in 3.0 s and 5 tries; " * 4, "job_id": "7h2k"}),
        (6, "WARNING", {"message": "a\x1b[2Jb\nc", "error.stack_trace": "Traceback\n  ValueError"}),
    )
]


@pytest.fixture(autouse=True)
def board(store: LabStore, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A board with a log, whose worker is gone; commands find this lab."""
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    owner = Owner("h", "domain", "b")
    store.boards.announce(owner, null_board("bench-3"), 60)
    store.boards.withdraw(owner, null_board("bench-3"), "its worker stopped")
    BoardLogs(store.script).append("bench-3", [json.dumps(line) for line in LINES])


def show(name: str = "bench-3", lines: int = 50, *, as_json: bool = False) -> None:
    boards_log.log(name, lines=lines, follow=False, as_json=as_json)


def test_log_of_a_dead_worker_is_printed_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    """On a pipe a line is one line with its full time and logger, whatever it says; that the board
    is offline is told beside it."""
    show()
    out, err = capsys.readouterr()
    first, second, third, *trace = out.splitlines()
    assert first == "2026-11-25T09:15:05Z INFO     l: Device connected"
    assert second.endswith("5 tries;   [job 7h2k]")
    assert third == "2026-11-26T09:15:06Z WARNING  l: a[2Jb | c"
    assert trace == ["Traceback", "  ValueError"]
    assert "bench-3 is offline: its worker stopped" in err


def test_json_has_all_fields_of_the_last_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """`-n` counts from the end, and `--json` prints each line as it was logged."""
    show(lines=2, as_json=True)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == LINES[1:]


def test_unknown_board_is_named_with_what_was_meant() -> None:
    """A typo names the board that it is nearest to."""
    with pytest.raises(BoardNotFound, match="did you mean 'bench-3'"):
        show("bnech-3")


def test_80_columns_fold_the_message_beside_its_time() -> None:
    """On a terminal each day is told once, no line is too wide, and levels have colours."""
    out = StringIO()
    printer = LogPrinter(PlainConsole(file=out, width=80, force_terminal=True))
    for fields in LINES:
        printer.print(LogLine("0-1", dict(fields)))
    assert "\x1b[31mERROR" in out.getvalue()
    lines = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).splitlines()
    assert max(len(line) for line in lines) <= 80
    assert lines[4].startswith(" " * 18 + "s and 5 tries")
    assert sum("2026-11-26 UTC" in line for line in lines) == 1


def test_console_is_for_people_at_the_boards_host() -> None:
    """Without a terminal, and for a port of another host, a sentence says what to do instead; a
    port that is served over the network is opened from anywhere."""
    with pytest.raises(UsageError, match="needs a terminal"):
        console_command.console("bench-3")
    here = Settings(host="desk")
    far = null_board("bench-3").model_copy(update={"url": "/dev/ttyACM0"})
    with pytest.raises(UsageError, match="at host h, and this is desk") as caught:
        console_command.must_be_reachable(far, here)
    assert "ssh -t h edgeprof console bench-3" in (caught.value.hint or "")
    for url, reachable in (("rfc2217://lab:4000", True), ("socket://localhost:4000", False)):
        served = far.model_copy(update={"url": url})
        if reachable:
            console_command.must_be_reachable(served, here)
        else:
            with pytest.raises(UsageError):
                console_command.must_be_reachable(served, here)


def test_port_that_a_worker_still_tries_is_waited_for(settings: Settings) -> None:
    """A worker opens a port where no board answers again and again, and a console waits until it
    lets go; a program that keeps the port is named."""
    url, lock_dir = "/dev/null", settings.lock_dir
    lock_dir.parent.mkdir(exist_ok=True)
    worker = lock_port(url, lock_dir)
    with pytest.raises(HostFault, match="process"):
        console_command.locked(url, lock_dir, patience_s=0)
    timer = threading.Timer(0.3, worker.close)
    timer.start()
    console_command.locked(url, lock_dir).close()
    timer.join()
