"""`edgeprof boards`."""

from __future__ import annotations

from edgeprof.scheduler.cli import output
from edgeprof.scheduler.lab import Lab
from edgeprof.scheduler.render.tables import boards_table


def boards(json: output.Json = False) -> None:
    """List the boards of the lab, the offline ones too.

    Example: edgeprof boards
    """
    with Lab() as lab:
        known = lab.boards()
    if json:
        output.print_models(known)
    elif known:
        output.show(boards_table(known))
    else:
        output.note("no board yet; start some with: edgeprof worker --board native://")
