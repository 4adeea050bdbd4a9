"""Plans a sweep's file: the jobs that measure speed, and one for the quality of each model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from edgeprof.client import routing, scoring
from edgeprof.client.lab import Lab
from edgeprof.client.request import Request
from edgeprof.client.resuming import key_of
from edgeprof.client.sweep import Plan
from edgeprof.client.sweep_file import SweepFile
from edgeprof.shared.models import catalogue
from edgeprof.shared.types.board import BoardInfo


def plan(lab: Lab, file: SweepFile, boards: Sequence[BoardInfo]) -> Plan:
    """Return the jobs and the refusals of a sweep. Raises UsageError with the line of a mistake.

    Quality is measured once for each model, type, cache type and context, on the first board that
    takes it: all boards compute the same, and the host checks each.
    """

    def check(key: str, value: Any) -> None:
        if key == "model":
            catalogue.locate(value)
        elif key == "corpus":
            scoring.corpus(value)
        else:
            there = {"platform": None, "board": None} | {key: value}
            routing.choose_target(
                **there,
                boards=boards,
                wait_for_board=file.keys.wait_for_board,
                require=file.keys.require,
            )

    file.check(check)
    return plan_of(lab, file, file.requests(), boards)


def plan_of(
    lab: Lab, file: SweepFile, requests: Sequence[Request], boards: Sequence[BoardInfo]
) -> Plan:
    """Return the jobs and the refusals of some of a file's combinations."""
    made = Plan()
    alike: defaultdict[tuple[Any, ...], list[Request]] = defaultdict(list)
    for request in requests:
        if made.add(lab, request, boards) and file.keys.score:
            same = (
                request.model,
                request.quantization,
                request.head,
                request.n_ctx,
                request.kv_type,
            )
            alike[same].append(file.scored(request))
    for scored in alike.values():
        _add_first(made, lab, scored, boards)
    made.planned = list({key_of(job.spec): (asked, job) for asked, job in made.planned}.values())
    return made


def _add_first(
    made: Plan, lab: Lab, requests: Sequence[Request], boards: Sequence[BoardInfo]
) -> None:
    """Add the first request that can run. If none can, the first is refused."""
    refused = len(made.refused)
    if any(made.add(lab, request, boards) for request in requests):
        del made.refused[refused:]
    else:
        del made.refused[refused + 1 :]
