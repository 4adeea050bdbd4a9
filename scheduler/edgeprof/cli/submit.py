"""The command `edgeprof submit`: it queues one job, or a sweep of types over boards."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from edgeprof.cli import output, waiting
from edgeprof.cli.render import llama_bench_table
from edgeprof.cli.render.llama_bench_table import Format
from edgeprof.cli.results import print_rows
from edgeprof.client import sweep
from edgeprof.client.lab import Lab
from edgeprof.client.request import DEFAULT_SCORED_TOKENS, Request
from edgeprof.shared.errors import UsageError
from edgeprof.shared.types.case import MAX_SCORED_TOKENS
from edgeprof.shared.types.model import KvType, Quantization


def submit(
    model: Annotated[
        str, typer.Option("--model", "-m", help="Name (see `edgeprof models`) or path of a GGUF.")
    ],
    quantization: Annotated[
        list[Quantization] | None,
        typer.Option(
            "--quantization",
            "-q",
            case_sensitive=False,
            help="Weight type to make of it; repeatable. Default: as the file is.",
        ),
    ] = None,
    platform: Annotated[
        list[str] | None, typer.Option(help="Any board of this platform; repeatable.")
    ] = None,
    board: Annotated[list[str] | None, typer.Option(help="This very board; repeatable.")] = None,
    prompt: Annotated[
        str | None, typer.Option(help='Prompt as text; "" is the model\'s BOS token alone.')
    ] = None,
    prompt_tokens: Annotated[
        str | None, typer.Option(help="Prompt as token ids: 1,17,402.")
    ] = None,
    n_prompt: Annotated[
        int, typer.Option("--n-prompt", "-p", help="Without a prompt: tokens of a standard text.")
    ] = 64,
    n_gen: Annotated[
        int, typer.Option("--n-gen", "-n", help="Tokens to generate; 0: prefill only.")
    ] = 64,
    repetitions: Annotated[
        int, typer.Option("--repetitions", "-r", help="Measured runs, after one warm-up.")
    ] = 3,
    n_ctx: Annotated[
        int | None, typer.Option(help="KV cache positions. Default: what the test needs.")
    ] = None,
    kv_type: Annotated[
        KvType, typer.Option(case_sensitive=False, help="Element type of the KV cache.")
    ] = KvType.F16,
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
            help=f"Measure perplexity over so many tokens, not {DEFAULT_SCORED_TOKENS}.",
        ),
    ] = None,
    priority: Annotated[int, typer.Option(help="0 (whenever) to 9 (now).")] = 5,
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
        bool, typer.Option("--wait-for-board", help="Queue even if no such board is known yet.")
    ] = False,
    json: output.Json = False,
) -> None:
    """Queue jobs: every type on every platform and board named. Waits unless told not to.

    Example: edgeprof submit -m shakespeare-240k -q Q8_0 -q Q4_0 --platform stm32f405 -n 32
    """
    targets: list[tuple[str | None, str | None]] = [(name, None) for name in platform or ()]
    targets += [(None, name) for name in board or ()]
    types: Sequence[Quantization | None] = quantization or [None]
    requests = [
        Request(
            model=_path_or_name(model),
            quantization=kind,
            platform=on_platform,
            board=on_board,
            prompt=prompt,
            prompt_tokens=None if prompt_tokens is None else _token_ids(prompt_tokens),
            n_prompt=n_prompt,
            n_gen=n_gen,
            repetitions=repetitions,
            n_ctx=n_ctx,
            kv_type=kv_type,
            score=score or score_tokens is not None,
            corpus=corpus,
            score_tokens=DEFAULT_SCORED_TOKENS if score_tokens is None else score_tokens,
            priority=priority,
            timeout_s=timeout,
            source="edgeprof submit",
            wait_for_board=wait_for_board,
        )
        for kind, (on_platform, on_board) in itertools.product(types, targets or [(None, None)])
    ]
    with Lab() as lab:
        swept = sweep.submit(lab, requests)
        if not swept.jobs:
            raise swept.refused[0].error  # every combination was refused
        for refused in swept.refused:
            output.note(f"refused: {refused.error}")
        for note in swept.notes:
            output.note(note)
        jobs = swept.jobs
        job_ids = [job.id for job in jobs]
        if not wait:
            if json:
                output.print_models([job.view() for job in jobs])
            else:
                typer.echo("\n".join(job_ids))
            return
        waited = waiting.wait(lab, job_ids)
    if json:
        output.print_models(waited.views)
    elif waited.views:
        print_rows(llama_bench_table.rows_of(waited.views), Format.TABLE)
    waited.finish()


def _path_or_name(model: str) -> str | Path:
    return Path(model) if "/" in model or model.endswith((".gguf", ".bin")) else model


def _token_ids(text: str) -> list[int]:
    try:
        return [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise UsageError(
            f"--prompt-tokens {text!r} are not token ids", hint="e.g. --prompt-tokens 1,17,402"
        ) from None
