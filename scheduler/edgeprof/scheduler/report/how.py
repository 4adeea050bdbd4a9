"""How the numbers of a report were measured: boards, models, runs and texts, each once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgeprof.client.humanize import counted, human_bytes, human_count
from edgeprof.scheduler.report.measured import Measured


@dataclass(frozen=True, slots=True)
class Facts:
    """A heading with lines; the first words of each line are a name."""

    heading: str
    lines: list[tuple[str, str]]


def how_measured(rows: Sequence[Measured]) -> list[Facts]:
    """Return the facts that hold for these rows."""
    found = [
        Facts("Boards", _each(_board(row) for row in rows)),
        Facts("Models", _each(_model(row) for row in rows)),
        Facts("Runs", _each(_run(row) for row in rows)),
        Facts("Perplexity", _each(line for row in rows if (line := _score(row)))),
        Facts("Energy", _each(line for row in rows if (line := _energy(row)))),
    ]
    return [facts for facts in found if facts.lines]


def _each(lines: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return list(dict.fromkeys(lines))


def _board(row: Measured) -> tuple[str, str]:
    identity = row.identity
    emulated = ", emulated" if identity.emulated else ""
    return identity.device_id, (
        f"{row.chip}{emulated}, uid {identity.board_uid}, on host {identity.host}; clock"
        f" {identity.timer_name} in steps of {identity.timer_resolution_ns} ns; firmware"
        f" {identity.firmware_version} {identity.firmware_git_hash}, {identity.toolchain};"
        f" edgeprof {identity.edgeprof_version}"
    )


def _model(row: Measured) -> tuple[str, str]:
    model = row.view.model
    source = "" if model.source is None else (
        f"; made of {model.source.file}, SHA-256 {model.source.sha256[:12]}…"
        f" ({' > '.join(model.source.chain)})"
    )  # fmt: skip
    return f"{row.model} {row.type}", (
        f"{human_count(model.n_params)} parameters, {human_bytes(model.size_bytes)}, SHA-256"
        f" {model.sha256[:12]}…{source}"
    )


def _run(row: Measured) -> tuple[str, str]:
    asked, load = row.view.inputs, row.result.load
    cache = f"a context of {load.n_ctx} positions, KV cache {load.kv_type}"
    tokens = f"{row.case.n_prompt} prompt tokens, then {row.case.n_gen} generated"
    if asked is None:
        return row.test, f"{tokens}; {cache}"
    runs = counted(asked.repetitions, "run")
    warm = counted(asked.warmup, "warm-up") if asked.warmup else "no warm-up"
    return row.test, f"{tokens}; {runs} after {warm}; {cache}"


def _score(row: Measured) -> tuple[str, str] | None:
    score = row.score
    if score is None:
        return None
    windows = f" in windows of {score.window_tokens}" if score.window_tokens else ""
    sha256 = f", SHA-256 {score.text_sha256[:12]}…" if score.text_sha256 else ""
    return score.text, f"{score.n_tokens} tokens{windows}{sha256}"


def _energy(row: Measured) -> tuple[str, str] | None:
    if row.result.energy_trouble:
        return row.identity.device_id, f"none for {row.view.id}: {row.result.energy_trouble}"
    if row.energy_mj is None:
        return None
    return row.identity.device_id, f"by {row.result.energy_meter or 'a meter'}"
