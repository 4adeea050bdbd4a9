"""`edgeprof flash`: put our firmware onto a board."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from edgeprof.shared.errors import HostFault, UsageError
from edgeprof.shared.settings import Settings, load_settings
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.model import KvType, Quantization
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.description import describe
from edgeprof.workers.flashing import descriptions
from edgeprof.workers.flashing import flash as flashing
from edgeprof.workers.flashing.chips import CHIPS
from edgeprof.workers.flashing.plugged import Plugged, everything

#: Of a job with the default numbers of tokens.
_FIRST_N_CTX: Final = 128


def flash(
    port: Annotated[
        str | None,
        typer.Argument(
            metavar="PORT",
            help="Serial port, folder of a bootloader's drive, or probe:ID. Default: what is"
            " plugged in.",
        ),
    ] = None,
    platform: Annotated[
        str | None,
        typer.Option(
            "--platform",
            "-p",
            metavar="NAME",
            help="Chip and board, where the chip cannot be asked: edgeprof flash --list.",
        ),
    ] = None,
    firmware: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An image of your own instead of ours."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written where, and stop.")
    ] = False,
    list_: Annotated[
        bool, typer.Option("--list", help="List the images that there are, and stop.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Put the firmware of this project onto a board that is plugged in.

    It finds what is plugged in, asks before it writes, verifies, and waits until the board answers.

    Example: edgeprof flash; edgeprof flash /dev/ttyACM0 --platform esp32c3 --yes
    """
    if list_:
        _list_images(as_json)
        return
    settings = load_settings()
    with _status() as on_line:
        where = flashing.at(port) if port is not None else _only_one(everything())
        if where.kind == "drive not mounted":
            raise HostFault(
                f"{where.says}", code="port_absent", hint=f"udisksctl mount -b {where.where}"
            )
        if platform is None and where.kind == "serial port":
            where = flashing.who_is_at(where, settings, on_line)
    plan = flashing.plan(where, platform, firmware)
    told: dict[str, Any] = {
        "platform": plan.chip.platform,
        "where": where.where,
        "how": plan.writer.describe(),
        "image": str(plan.image.path),
        "sha256": plan.image.sha256,
        "version": plan.image.version,
        "git_hash": plan.image.git_hash,
        "written": False,
    }
    typer.echo(
        f"{plan.chip.name}: {plan.image.path.name}"
        f" {plan.image.version or 'of yours'}, {plan.writer.describe()}",
        err=True,
    )
    if dry_run:
        _print_json(told, as_json)
        return
    _agree(yes)
    if where.kind == "serial port":
        flashing.until_free(where.where)
    with _status() as on_line:
        plan.writer.write(plan.image, on_line)
    told["written"] = True
    typer.echo("written and verified", err=True)
    _print_json(told | _answer(plan, settings), as_json)


def _answer(plan: flashing.Plan, settings: Settings) -> dict[str, Any]:
    """Wait for the board's HELLO, where its port is known, and say what to type next."""
    if plan.port is None:
        typer.echo(f"next: {plan.chip.serial_port}; then: edgeprof worker", err=True)
        return {}
    with _status() as on_line:
        on_line(f"{plan.port}: waiting for the board")
        hello = flashing.check(plan, plan.port, settings)
    info = describe(hello, BoardConfig(url=plan.port), settings)
    newer = flashing.newer_than(hello, plan.chip)
    older = f", older than the {newer.version} of this edgeprof" if newer else ""
    typer.echo(f"{info.device_id} answers: firmware {hello.firmware_version}{older}", err=True)
    typer.echo(f"next: edgeprof worker --board {plan.port}\nthen: {_then(info)}", err=True)
    return {"device_id": info.device_id, "uid": hello.uid, "port": plan.port}


def _then(info: BoardInfo) -> str:
    """Return what gives the first number: a job, where the board takes a model."""
    # Models bring numpy, which no other part of this command needs.
    from edgeprof.shared.models.fit import fit  # noqa: PLC0415
    from edgeprof.workers.selftest.known_answer import known_model  # noqa: PLC0415

    model = known_model(Quantization.Q4_0)
    placed = fit(
        model.shape,
        model.size_bytes,
        _FIRST_N_CTX,
        KvType.F32,
        info.regions,
        can_flash=info.can_flash,
        can_upload=info.can_upload,
    )
    if placed.fits:
        return f"edgeprof submit -m shakespeare-240k -q Q4_0 --board {info.device_id} --wait"
    return (
        "its RAM takes none of our models, its flash does: name a debug probe in boards.toml"
        ' (flash_by = "probe:ID"; docs/how-to/add-a-board.md)'
    )


def _only_one(found: list[Plugged]) -> Plugged:
    """Return what is plugged in, or what the user chooses of it."""
    if not found:
        ways: dict[str, list[str]] = {}
        for chip in CHIPS.values():
            ways.setdefault(chip.to_bootloader, []).append(chip.name)
        bootloaders = "; ".join(f"{', '.join(names)}: {way}" for way, names in ways.items())
        raise HostFault(
            "nothing is plugged in that could be flashed",
            code="port_absent",
            hint=f"is the cable one for data? or bring up the chip's bootloader: {bootloaders}",
        )
    if len(found) == 1:
        return found[0]
    lines = [f"{number}  {each.where}  {each.says}" for number, each in enumerate(found, 1)]
    if not sys.stdin.isatty():
        raise UsageError(
            "several things are plugged in:\n" + "\n".join(lines),
            hint=f"name one, e.g. edgeprof flash {found[0].where}",
        )
    typer.echo("\n".join(lines), err=True)
    number: int = typer.prompt("Which one?", type=int, err=True)
    if not 1 <= number <= len(found):
        raise UsageError(f"{number} is none of 1 to {len(found)}")
    return found[number - 1]


def _agree(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to ask", hint="--yes writes without asking")
    typer.confirm("What is in the board's flash is overwritten. Go on?", abort=True, err=True)


def _list_images(as_json: bool) -> None:
    there = {built.image: built for built in descriptions.built()}
    if as_json:
        typer.echo(json.dumps([built.model_dump() for built in there.values()], indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("platform", "chip", "version", "files", "SHA-256"):
        table.add_column(heading, overflow="fold")
    for image, chip in CHIPS.items():
        built = there.get(image)
        if built is None:
            table.add_row(image, chip.name, "not built", "", "")
            continue
        first, *_ = built.sha256.values()
        version = f"{built.version} ({built.git_hash[:7]})"
        table.add_row(image, chip.name, version, " ".join(built.sha256), first[:12])
    Console(width=None if sys.stdout.isatty() else 200).print(table, markup=False)


def _print_json(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(told, indent=2))


@contextmanager
def _status() -> Iterator[Callable[[str], None]]:
    """Show the last line of a program while it runs; on a pipe, nothing."""
    console = Console(stderr=True, markup=False)
    if not console.is_terminal:
        yield lambda _line: None
        return
    with console.status("") as status:
        yield status.update
