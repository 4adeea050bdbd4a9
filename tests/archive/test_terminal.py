"""What boards, models and other users wrote is shown, and commands no terminal."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import RenderableType

from edgeprof.cli.render import llama_bench_table
from edgeprof.cli.render.follow import Running, Snapshot
from edgeprof.cli.render.live import live
from edgeprof.cli.render.report import job_report
from edgeprof.cli.render.tables import boards_sheet, jobs_sheet
from edgeprof.client.console import PlainConsole
from edgeprof.shared.sanitize import harmless, one_line
from edgeprof.shared.telemetry.logs import _OneLine
from edgeprof.shared.types.board import BoardInfo, BoardState, MemoryRegion
from edgeprof.shared.types.job import Attempt, JobState
from edgeprof.shared.types.result import JobView, RegionUse

MakeView = Callable[..., JobView]

#: Titles, clipboards, colours, links, a beep, C1, a turned direction, a line that fakes another.
EVIL = "\x1b]0;t\x07\x1b]52;c;aGk=\x1b\\\x1b[31m\x9b2J[link=http://evil]x[/link][red]\r\b\u202ey:smile:"


def shown(renderable: RenderableType, *, terminal: bool) -> str:
    out = io.StringIO()
    PlainConsole(file=out, width=2000, force_terminal=terminal, color_system=None).print(renderable)
    return out.getvalue()


def evil_view(make_view: MakeView) -> JobView:
    view = make_view(reason=EVIL, user="ada", target=EVIL, trace_id="f" * 32)
    assert view.result is not None
    identity = view.result.identity.model_copy(
        update=dict.fromkeys(("device_id", "host", "board_uid", "toolchain", "timer_name"), EVIL)
    )
    case = view.result.cases[0].model_copy(update={"text": EVIL})
    region = RegionUse(name=EVIL, kind="ram", total_bytes=1, used_bytes=1, high_water_bytes=1)
    result = view.result.model_copy(
        update={
            "identity": identity,
            "cases": (case,),
            "regions": (region,),
            "temperature_celsius": {EVIL: 1.0},
        }
    )
    attempt = Attempt(
        number=1, epoch=1, device_id=EVIL, host=EVIL, started_s=1, ended_s=2,
        fault_class="host", code=EVIL, reason=EVIL,
    )  # fmt: skip
    return view.model_copy(update={"result": result, "attempts": (attempt,)})


def evil_board() -> BoardInfo:
    return BoardInfo(
        device_id="b", platform="p", host=EVIL, url=EVIL, uid=EVIL, state=BoardState.ONLINE,
        emulated=True, firmware_version=EVIL, firmware_git_hash=EVIL, toolchain=EVIL,
        protocol=(1, 0), clock_hz=1, timer_name=EVIL, timer_resolution_ns=1,
        regions=(MemoryRegion(name=EVIL, kind="ram", total_bytes=1, available_bytes=1),),
        kernels=(), n_ctx_max=1, can_flash=True, can_upload=True, reason=EVIL, job_id=EVIL,
    )  # fmt: skip


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("what", ["jobs", "job", "boards", "results"])
def test_tables_carry_no_commands(make_view: MakeView, what: str, terminal: bool) -> None:
    """No escape, no markup, on a terminal as on a pipe; what was written can still be read."""
    view = evil_view(make_view)
    renderables: dict[str, RenderableType] = {
        "jobs": jobs_sheet([view], [], 0).table(),
        "job": job_report(view),
        "boards": boards_sheet([evil_board()], 0).table(),
        "results": llama_bench_table.sheet(llama_bench_table.rows_of([view])).table(),
    }

    text = shown(renderables[what], terminal=terminal)

    # What is left of escapes is rich's own: colours and weights, never anything else.
    rest = __import__("re").sub(r"\x1b\[[0-9;]*m", "", text)
    assert rest == harmless(rest)
    assert "\x1b[31m" not in text
    assert "[link=http://evil]x[/link][red]" in text
    assert ":smile:" in text


def test_bars_carry_no_commands(make_view: MakeView) -> None:
    """Neither the live view on a terminal nor its lines on a pipe carry a terminal's commands."""
    view = evil_view(make_view)
    for terminal in (False, True):
        out = io.StringIO()
        console = PlainConsole(file=out, width=2000, force_terminal=terminal, color_system=None)
        with live(console, 2, [evil_board()]) as bars:
            running = Running(view.model_copy(update={"state": JobState.RUNNING}), phase=EVIL)
            bars.show(Snapshot((running,), (evil_board(),), (), ()))
            bars.show(Snapshot((), (), (), (view,)))
            bars.show(Snapshot((), (), (), (view.model_copy(update={"state": JobState.FAILED}),)))
            bars.show(Snapshot((), (), (), (), trouble=EVIL))
        text = out.getvalue()
        assert "[link=http://evil]x" in text
        for part in ("\x1b]", "\x07", "\x9b", "\x1b[31m", "\b", "\u202e"):
            assert part not in text


def test_text_formats_carry_no_commands(
    make_view: MakeView, capsys: pytest.CaptureFixture[str]
) -> None:
    """Markdown, CSV and JSON lines go to a terminal as well."""
    from edgeprof.cli.results import print_rows

    for kind in llama_bench_table.Format:
        print_rows(llama_bench_table.rows_of([evil_view(make_view)]), kind)
    text = capsys.readouterr().out

    assert text == harmless(text)
    assert "[link=" in text


def test_errors_and_notes_carry_no_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that was not found is repeated, without what it would do."""
    from edgeprof.cli import exits, output
    from edgeprof.shared.errors import UsageError

    exits.report(UsageError(f"no board {EVIL}", hint=EVIL))
    output.note(EVIL)
    text = capsys.readouterr().err

    assert text == harmless(text)
    assert text.count("[link=http://evil]") == 3


def test_a_log_line_is_one_line() -> None:
    """A board's text cannot be taken for a log line of ours."""
    record = logging.makeLogRecord(
        {"msg": "board says %s", "args": (f"{EVIL}\n12:00:00 ERROR   all is lost",), "levelno": 30}
    )

    line = _OneLine().format(record)

    assert len(line.splitlines()) == 1
    assert line == harmless(line)


@pytest.mark.parametrize(
    ("text", "line"),
    [("a\nb\tc", "a | b c"), ("\x1b[1mx", "[1mx"), ("é✓", "é✓"), ("x\udcff", "x?"), ("", "")],
)
def test_one_line(text: str, line: str) -> None:
    """Text that people write stays; characters that command a terminal go."""
    assert one_line(text) == line


def test_long_text_is_cut() -> None:
    """A text beyond the limit is cut, and says so."""
    assert one_line("x" * 10, 5) == "xxxx…"


def test_progress_is_believed_only_where_it_is_a_number() -> None:
    """A worker that says otherwise does not end anybody's wait."""
    from edgeprof.client.progress import bar
    from edgeprof.shared.store.job_values import Event

    fields: Any = {"phase": EVIL, "percent": "soon"}
    with bar("id") as draw:
        draw(Event("0-1", 0.0, "progress", fields))
