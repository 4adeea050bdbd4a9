"""The command `edgeprof submit`: one job, or one for each combination of what is listed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from edgeprof.cli import completion, exits, notify_options, output, waiting
from edgeprof.cli.model_options import Heads
from edgeprof.cli.render import llama_bench_table
from edgeprof.cli.render.llama_bench_table import Format
from edgeprof.cli.results import print_rows
from edgeprof.cli.tags import parse_tags
from edgeprof.client import sweep
from edgeprof.client.grid import Grid
from edgeprof.client.lab import Lab
from edgeprof.client.request import DEFAULT_SCORED_TOKENS, Request
from edgeprof.client.sweep import Refused
from edgeprof.shared.errors import UsageError
from edgeprof.shared.types.case import MAX_SCORED_TOKENS
from edgeprof.shared.types.model import KvType, Quantization
from edgeprof.shared.types.result import JobView


# Long because Typer reads the options from the signature.
def submit(
    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            autocompletion=completion.models,
            help="Name (see `edgeprof models list`) or path of a GGUF; repeatable.",
        ),
    ],
    quantization: Annotated[
        list[Quantization] | None,
        typer.Option(
            "--quantization",
            "-q",
            case_sensitive=False,
            metavar="TYPE",
            help="Weight type to make of it: F32, F16, Q8_0, Q4_0, TQ2_0; repeatable."
            " Default: as the file is.",
        ),
    ] = None,
    head: Heads = None,
    platform: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PLATFORM",
            autocompletion=completion.platforms,
            help="Any board of this platform; repeatable.",
        ),
    ] = None,
    board: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BOARD", autocompletion=completion.boards, help="This very board; repeatable."
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Only a board with this tag of boards.toml, e.g. psram=8MB; repeatable: with all"
            " of them. See `edgeprof boards`.",
        ),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", help='Prompt; "" is the model\'s BOS token alone; repeatable.'
        ),
    ] = None,
    prompt_tokens: Annotated[
        str | None, typer.Option(metavar="ID,…", help="Prompt as token ids: 1,17,402.")
    ] = None,
    n_prompt: Annotated[
        list[str] | None,
        typer.Option(
            "--n-prompt",
            "-p",
            metavar="N,…",
            help="Prompt of so many tokens of a standard text; 32,64 is a job each. Default: 64.",
        ),
    ] = None,
    n_gen: Annotated[
        list[str] | None,
        typer.Option(
            "--n-gen",
            "-n",
            metavar="N,…",
            help="Tokens to generate; 0: prefill only; 32,64 is a job each. Default: 64.",
        ),
    ] = None,
    repetitions: Annotated[
        int,
        typer.Option("--repetitions", "-r", metavar="N", help="Measured runs, after one warm-up."),
    ] = 3,
    n_ctx: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N,…",
            help="KV cache positions; 128,256 is a job each. Default: as many as the job needs.",
        ),
    ] = None,
    kv_type: Annotated[
        list[KvType] | None,
        typer.Option(
            case_sensitive=False,
            metavar="TYPE",
            help="Element type of the KV cache, F32 or F16; repeatable. Default: F16.",
        ),
    ] = None,
    score: Annotated[
        bool, typer.Option("--score", help="Also measure perplexity, over a text that ships.")
    ] = False,
    corpus: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Measure perplexity over the beginning of this text."),
    ] = None,
    score_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_SCORED_TOKENS,
            metavar="N",
            help=f"Measure perplexity over so many tokens, not {DEFAULT_SCORED_TOKENS}.",
        ),
    ] = None,
    score_stride: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Begin a window every N tokens, so that a token has more before it.",
        ),
    ] = None,
    profile: Annotated[
        bool,
        typer.Option("--profile", help="Also measure where the time goes: see `edgeprof explain`."),
    ] = False,
    priority: Annotated[
        int, typer.Option(min=0, max=9, metavar="N", help="0 (whenever) to 9 (now).")
    ] = 5,
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="How long an attempt may take. Default: 600, and the expected time of the upload.",
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait and print results, or print ids.")
    ] = True,
    wait_for_board: Annotated[
        bool,
        typer.Option(
            "--wait-for-board", help="Queue even if no such board, or none with the tags, is known."
        ),
    ] = False,
    notify: notify_options.Notify = None,
    notify_if: notify_options.NotifyIf = None,
    against: notify_options.Against = None,
    json: output.Json = False,
) -> None:
    """Queue jobs: every model and type on every platform and board named.

    Waits for them and prints results, unless told not to. Combinations that do not fit are
    refused, and the exit code is 1 if there are any.

    Example: edgeprof submit -m shakespeare-240k -q Q8_0 -q Q4_0 --platform stm32f405 -n 32,64
    """
    base = Request(
        model="",
        require=parse_tags(tag),
        prompt_tokens=None if prompt_tokens is None else _token_ids(prompt_tokens),
        repetitions=repetitions,
        score=score or score_tokens is not None or score_stride is not None,
        corpus=corpus,
        score_tokens=DEFAULT_SCORED_TOKENS if score_tokens is None else score_tokens,
        score_stride=score_stride,
        profile=profile,
        priority=priority,
        timeout_s=timeout,
        source="edgeprof submit",
        wait_for_board=wait_for_board,
    )
    grid = Grid(
        model=[_path_or_name(name) for name in model],
        quantization=quantization or (),
        head=head or (),
        platform=platform or (),
        board=board or (),
        prompt=prompt or (),
        n_prompt=_counts("--n-prompt", n_prompt),
        n_gen=_counts("--n-gen", n_gen),
        n_ctx=_counts("--n-ctx", n_ctx),
        kv_type=kv_type or (),
    )
    requests = grid.requests(base)
    wish = notify_options.wish(notify, notify_if, against)
    with Lab(hurried=True) as lab:
        swept = sweep.submit(lab, requests)
        if not swept.jobs:
            raise swept.refused[0].error  # every combination was refused
        for refused in swept.refused:
            output.note(f"refused: {refused.error}")
        for note in swept.notes:
            output.note(note)
        jobs = swept.jobs
        job_ids = [job.id for job in jobs]
        subject = notify_options.of_jobs(job_ids, swept.sweep_id)
        notify_options.ask(lab, wish, subject, job_ids)
        if not wait:
            if json:
                _print_json([job.view() for job in jobs], swept.refused)
            else:
                typer.echo("\n".join(job_ids))
            raise typer.Exit(exits.JOB_FAILED if swept.refused else exits.OK)
        waited = waiting.wait(lab, job_ids)
    if json:
        _print_json(waited.views, swept.refused)
    elif waited.views:
        print_rows(llama_bench_table.rows_of(waited.views), Format.TABLE)
        if len(waited.views) > 1:
            output.note(f"which one to take: edgeprof sweep {swept.sweep_id}")
    waited.finish(refused=bool(swept.refused))


def _print_json(views: Sequence[JobView], refused: Sequence[Refused]) -> None:
    """Print jobs, and after them what was refused: without an id, in a state of its own."""
    jobs = [view.model_dump(mode="json") for view in views]
    output.print_json([*jobs, *map(refusal, refused)])


def refusal(refused: Refused) -> dict[str, object]:
    """Return a combination that was refused, as JSON has it among jobs."""
    request = refused.request
    return {
        "id": None,
        "state": "refused",
        "reason": str(refused.error),
        "model": {
            "name": str(request.model),
            "quantization": request.quantization and str(request.quantization),
            "head": request.head and str(request.head),
        },
        "target": request.board or request.platform,
        "n_prompt": request.n_prompt,
        "n_gen": request.n_gen,
    }


def _counts(option: str, texts: Sequence[str] | None) -> list[int]:
    """Return the numbers of an option that may be repeated, or be a list as llama-bench's is."""
    parts = [part for text in texts or () for part in text.split(",")]
    try:
        counts = [int(part) for part in parts]
    except ValueError:
        raise UsageError(
            f"{option} {','.join(texts or ())}: these are not whole numbers",
            hint=f"e.g. {option} 64, or {option} 32,64 for a job each",
        ) from None
    return list(dict.fromkeys(counts))


def _path_or_name(model: str) -> str | Path:
    return Path(model) if "/" in model or model.endswith((".gguf", ".bin")) else model


def _token_ids(text: str) -> list[int]:
    try:
        return [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise UsageError(
            f"--prompt-tokens {text!r} are not token ids", hint="e.g. --prompt-tokens 1,17,402"
        ) from None
