"""The command `edgeprof demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeprof.cli import exits, output
from edgeprof.cli.demo.boards import chosen
from edgeprof.cli.demo.children import Terminated, sigterm_unwinds
from edgeprof.cli.demo.run import run_demo
from edgeprof.cli.waiting import exit_code
from edgeprof.shared.settings import load_settings


def demo(
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write results as JSON.")
    ] = None,
    platform: Annotated[
        list[str] | None,
        typer.Option(metavar="PLATFORM", help="Only boards of this platform; repeatable."),
    ] = None,
    n_prompt: Annotated[
        int, typer.Option("--n-prompt", "-p", min=1, metavar="N", help="Tokens of prompt.")
    ] = 64,
    n_gen: Annotated[
        int,
        typer.Option(
            "--n-gen", "-n", min=0, metavar="N", help="Tokens to generate; 0: prefill only."
        ),
    ] = 64,
) -> None:
    """Profile the bundled models on nine emulated boards, from nothing, and clean up.

    Boards whose emulator or firmware is not installed are left out. Slow emulators get one model
    and 8 tokens at most.

    Example: edgeprof demo --json demo.json
    """
    settings = load_settings()
    try:
        with sigterm_unwinds():
            views = run_demo(
                settings,
                output.stderr(),
                chosen(platform),
                json_file=json,
                n_prompt=n_prompt,
                n_gen=n_gen,
            )
    except (KeyboardInterrupt, Terminated):
        output.note("stopped; nothing of the demo is left running")
        raise typer.Exit(exits.INTERRUPTED) from None
    raise typer.Exit(exit_code(views))
