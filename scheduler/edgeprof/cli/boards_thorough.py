"""`edgeprof boards test --thorough`: a report on a board and its port, for an issue tracker."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from edgeprof.cli import board_requests, output
from edgeprof.client.lab import Lab
from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.own_version import own_version
from edgeprof.shared.types.board import BoardInfo, BoardState

#: As a worker writes it into the board's history: findings, each with outcome, check and words.
_FINDING: Final = re.compile(r"(ok|FAILED|not tested): ([^:]+): (.*)")


def report(lab: Lab, name: str, timeout_s: float) -> dict[str, Any]:
    """Have a board tested thoroughly; returns the report. It gets no jobs meanwhile.

    A board that fails stays quarantined. Raises InfrastructureError when it was not tested.
    """
    boards = lab.store.boards
    asker = f"{board_requests.actor()}/thorough"
    boards.cordon(name, BoardState.DRAINING, asker, "a thorough test")
    since_s = board_requests.last_change_s(boards, name)
    boards.ask("thorough", name, asker)
    try:
        answer = board_requests.answer(boards, name, since_s, asker, timeout_s).reason
        findings = _parse(name, answer)
    except BaseException:
        boards.resume(name, asker, "the thorough test did not end")
        raise
    passed = all(each["outcome"] != "FAILED" for each in findings)
    if passed:
        boards.resume(name, asker, "passed the thorough test")
    else:
        boards.cordon(name, BoardState.QUARANTINED, asker, "failed the thorough test")
    return {
        "board": boards.named(name),
        "edgeprof": own_version(),
        "passed": passed,
        "findings": findings,
    }


def _parse(name: str, answer: str) -> list[dict[str, str]]:
    """Return the findings of an answer. Raises InfrastructureError when it has none."""
    found = [match for line in answer.split(" | ") if (match := _FINDING.match(line))]
    if not found:
        raise InfrastructureError(f"{name}: {answer}", hint=f"edgeprof boards history {name}")
    return [{"check": match[2], "outcome": match[1], "says": match[3]} for match in found]


def print_markdown(report: dict[str, Any]) -> None:
    """Print the report as two tables of Markdown."""
    board: BoardInfo = report["board"]
    memory = ", ".join(f"{each.name} {each.total_bytes} bytes" for each in board.regions)
    clock = f"{board.clock_hz / 1e6:g} MHz" if board.clock_hz else "none stated"
    output.data(
        _table(
            ["board", board.device_id],
            [
                ["platform", board.platform + (" (emulated)" if board.emulated else "")],
                ["uid", board.uid],
                ["firmware", f"{board.firmware_version} ({board.firmware_git_hash})"],
                ["compiler", board.toolchain],
                ["clock", clock],
                ["timer", f"{board.timer_name}, {board.timer_resolution_ns} ns"],
                ["memory", memory],
                ["edgeprof", report["edgeprof"]],
            ],
        )
    )
    rows = [[each["check"], each["outcome"], each["says"]] for each in report["findings"]]
    output.data("\n" + _table(["check", "outcome", "found"], rows))


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    cells = [[cell.replace("|", "/") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
