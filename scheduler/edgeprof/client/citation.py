"""What a paper or an issue has to say about a measurement, so that others can repeat it."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from edgeprof.client.humanize import counted, human_energy
from edgeprof.client.llama_bench import chip
from edgeprof.client.trust import doubts
from edgeprof.shared.errors import UsageError
from edgeprof.shared.types.result import CaseResult, InputCase, JobView, Samples

_WIDTH: Final = 90


def text(view: JobView) -> str:
    """Return some lines of plain text. Raises UsageError for a job without a result."""
    lines = (
        textwrap.fill(line, _WIDTH, subsequent_indent="  ", break_long_words=False)
        for line in _lines(view)
    )
    return "\n".join(lines)


def bibtex(view: JobView) -> str:
    """Return the same as an entry for BibTeX."""
    note = " ".join(_lines(view)).translate(_TEX)
    year = datetime.fromtimestamp(view.finished_s or view.created_s, UTC).year
    title = f"{view.model.name} {view.model.made_as} on {_board(view)}".translate(_TEX)
    return (
        f"@misc{{edgeprof-{view.id},\n  title = {{{title}}},\n  year = {{{year}}},\n"
        f"  howpublished = {{measured with edgeprof, job {view.id}}},\n  note = {{{note}}}\n}}"
    )


_TEX: Final = str.maketrans(
    {char: f"\\{char}" for char in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"±": r"$\pm$", "°": r"\textdegree{}"}
)


def _lines(view: JobView) -> Iterator[str]:
    if view.result is None:
        raise UsageError(
            f"job {view.id} has nothing to cite: it is {view.state}: {view.reason}",
            hint="edgeprof results lists jobs that were measured",
        )
    result, asked = view.result, view.inputs
    board = result.identity
    for index, case in enumerate(result.cases):
        yield f"{view.model.name} {view.model.made_as} on {_board(view)}: {_speeds(case)}."
        if case.score is not None:
            score = case.score
            error = f" ± {score.perplexity_stderr:.3f}" if score.perplexity_stderr else ""
            over = f" (sha256 {score.text_sha256})" if score.text_sha256 else ""
            yield (
                f"Perplexity {score.perplexity:.3f}{error} over {score.n_tokens} tokens of"
                f" {score.text}{over}, windows of {score.window_tokens} tokens."
            )
        if asked is not None:
            yield _input(asked.cases[index])
        check = case.output_check
        yield (
            "Output was not checked against a reference." if check is None
            else f"Greedy output equals the reference's in {check.matched} of {check.of} tokens."
        )  # fmt: skip
    repeated = (
        f"{counted(asked.repetitions, 'run')} after {asked.warmup} warm-up, " if asked else ""
    )
    yield f"{repeated}context {result.load.n_ctx} positions, KV cache {result.load.kv_type}."
    if result.energy_per_token_mj is not None:
        energy = human_energy(result.energy_per_token_mj, result.energy_samples_mj)
        yield f"Energy {energy} a token, by {result.energy_meter}."
    for doubtful in doubts(view):
        yield f"Caution, {doubtful}."
    source = view.model.source
    made_of = (
        f", made of {source.file} (sha256 {source.sha256})"
        if source and source.sha256 != view.model.sha256
        else ""
    )
    yield f"Model file: sha256 {view.model.sha256}, {view.model.size_bytes} bytes{made_of}."
    yield (
        f"Board {board.device_id} ({board.board_uid}), firmware {board.firmware_version}"
        f" {board.firmware_git_hash}, {board.toolchain}, clock {board.timer_name}"
        f" in steps of {board.timer_resolution_ns} ns."
    )
    at = datetime.fromtimestamp(view.finished_s or view.created_s, UTC)
    yield (
        f"Measured {at:%Y-%m-%d %H:%M} UTC with edgeprof {board.edgeprof_version}, job {view.id},"
        f" record schema {view.schema_version}. To repeat it: edgeprof rerun {view.id}"
    )


def _board(view: JobView) -> str:
    assert view.result is not None
    identity = view.result.identity
    return chip(identity) + (" (emulated, not silicon)" if identity.emulated else "")


def _speeds(case: CaseResult) -> str:
    parts = [f"prefill {_spread(case.prefill_tokens_per_second)} t/s (pp{case.n_prompt})"]
    if case.decode_tokens_per_second is not None:
        decode = _spread(case.decode_tokens_per_second)
        parts.append(f"decode {decode} t/s (tg{case.n_gen} at depth {case.n_prompt})")
    parts.append(f"time to first token {case.ttft_s.mean:.4g} s")
    runs = len(case.ttft_s.samples)
    spread = f"; mean ± sample standard deviation of {runs}" if runs > 1 else ""
    return ", ".join(parts) + spread


def _spread(samples: Samples) -> str:
    sd = f" ± {samples.sd:.2f}" if len(samples.samples) > 1 else ""
    return f"{samples.mean:.2f}{sd}"


def _input(case: InputCase) -> str:
    ids = ",".join(map(str, case.prompt_tokens))
    digest = hashlib.sha256(ids.encode()).hexdigest()
    what = {"standard": "the standard text", "text": "a text", "tokens": "token ids"}
    of = f" of {what[case.prompt_source]}" if case.prompt_source else ""
    return f"Prompt: {counted(len(case.prompt_tokens), 'token')}{of} (sha256 of the ids {digest})."
