"""One job in full, for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from reprlib import Repr
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from edgeprof.cli.render.tables import new_table, styled
from edgeprof.client.humanize import (
    human_bytes,
    human_count,
    human_energy,
    human_expected,
    human_s,
    when,
)
from edgeprof.client.llama_bench import chip
from edgeprof.shared.types.profile import Derived
from edgeprof.shared.types.result import (
    CaseResult,
    Inputs,
    JobResult,
    JobView,
    MemoryUse,
    RegionUse,
    ScoreResult,
)
from edgeprof.shared.types.tags import written

_SHORT = Repr()
_SHORT.maxstring, _SHORT.maxlist = 60, 8
short_repr = _SHORT.repr


def job_report(
    view: JobView,
    trace_ui: str | None = None,
    page: str | None = None,
    *,
    waits: str | None = None,
) -> RenderableType:
    """Return everything about a job but its speeds, which llama_bench_table.py shows.

    trace_ui: base URL of a trace viewer. page: the job's on the scheduler. waits: what a
    queued job waits for.
    """
    facts = _grid()
    facts.add_row("job", view.id)
    facts.add_row("state", Text.assemble(styled(view.state), f"  {waits or view.reason}"))
    facts.add_row("model", f"{view.model.name} {view.model.made_as}  {view.model.sha256[:12]}")
    source = view.model.source
    if source is not None:
        chain = f"  {' > '.join(source.chain)}" if len(source.chain) > 1 else ""
        facts.add_row("source", f"{source.file}  {source.sha256[:12]}{chain}")
    facts.add_row("target", view.target)
    if view.inputs and view.inputs.require:
        facts.add_row("requires", written(view.inputs.require))
    facts.add_row("priority", str(view.priority))
    if view.inputs is not None:
        for name, value in _asked(view.inputs):
            facts.add_row(name, value)
    facts.add_row("submitted", when(view.created_s) + (f" by {view.user}" if view.user else ""))
    if view.expected is not None:
        facts.add_row("expected", f"an attempt of {human_expected(view.expected)}")
    if view.finished_s is not None:
        facts.add_row("finished", when(view.finished_s))
    if view.sweep_id:
        facts.add_row("sweep", view.sweep_id)
    if view.trace_id:
        facts.add_row("trace", view.trace_id)
        if trace_ui:
            facts.add_row("", f"{trace_ui.rstrip('/')}/trace/{view.trace_id}")
    if page:
        facts.add_row("page", page)
    parts: list[RenderableType] = [facts]
    if view.attempts:
        parts.append(_attempts(view))
    if view.result is not None:
        parts.append(_measured(view.result))
    return Group(*parts)


def shown_text(case: CaseResult) -> str:
    """Return the generated text. A note is added if the model ended it before the run did."""
    text = case.text or ""
    if case.ended_at_token is None:
        return text
    return f"{text}⟨end of text after {case.ended_at_token} tokens⟩"


def _score(score: ScoreResult) -> str:
    error = "" if score.perplexity_stderr is None else f" ± {score.perplexity_stderr:.3f}"
    text = f"{score.perplexity:.3f}{error} over {score.n_tokens} tokens of {score.text}"
    if score.window_tokens is not None:
        text += f" in windows of {score.window_tokens}"
        text += f", stride {score.stride_tokens}" if score.stride_tokens else ""
    if score.reference_perplexity is not None:
        text += f" (host: {score.reference_perplexity:.3f})"
    return text


def _asked(inputs: Inputs) -> Iterator[tuple[str, str]]:
    """Yield the inputs of a job, a line each."""
    for case in inputs.cases:
        prompt = f"{len(case.prompt_tokens)} tokens"
        if case.prompt_source == "standard":
            prompt += " of the standard text"
        elif case.prompt_text is not None:
            prompt += f": {short_repr(case.prompt_text)}"
        elif case.prompt_source == "tokens":
            prompt += f", ids {short_repr(list(case.prompt_tokens))}"
        yield "prompt", prompt
    generate = ", ".join(
        f"{case.n_gen} tokens" if case.n_gen else "nothing" for case in inputs.cases
    )
    yield "generate", f"{generate} x {inputs.repetitions} after {inputs.warmup} warm-up(s)"
    yield "context", f"{inputs.n_ctx} positions, KV cache {inputs.kv_type}"
    yield "timeout", f"{inputs.timeout_s:g} s"
    if inputs.tags:
        yield "tags", written(inputs.tags)
    if inputs.source:
        yield "through", inputs.source


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    return grid


def _attempts(view: JobView) -> Table:
    table = new_table("try", "board", "host", "took", "ended", text="ended")
    for attempt in view.attempts:
        took = "" if attempt.ended_s is None else human_s(attempt.ended_s - attempt.started_s)
        ended = "running" if attempt.ended_s is None else "well"
        if attempt.fault_class is not None:
            ended = f"{attempt.fault_class} fault ({attempt.code}): {attempt.reason}"
        table.add_row(str(attempt.number), attempt.device_id, attempt.host, took, ended)
    return table


_CAME: Final = {"cached": "was still in", "flash": "written to", "ram": "sent to"}
_PARTS: Final = {"kv": "KV cache"}


def _memory(region: RegionUse, parts: Sequence[MemoryUse]) -> str:
    """Return the peak use of a memory region in words, and how much of it each part took."""
    used, total = human_bytes(region.high_water_bytes), human_bytes(region.total_bytes)
    text = f"{used} of {total} at its fullest"
    bytes_of: Counter[str] = Counter()
    for part in parts:
        if part.region == region.name and part.used_bytes:
            bytes_of[_PARTS.get(part.category, part.category)] += part.used_bytes
    inside = [f"{name} {human_bytes(size)}" for name, size in bytes_of.items()]
    return f"{text}: {', '.join(inside)}" if inside else text


def _work(derived: Derived) -> str:
    """Return what a decode step computes and reads, and how fast that went."""
    parts = [
        f"{human_count(derived.macs_per_token or 0)} multiply-accumulates",
        f"{human_bytes(derived.weight_bytes_per_token or 0)} of weights",
    ]
    if derived.weight_bytes_per_second is not None:
        parts[-1] += f" ({human_bytes(derived.weight_bytes_per_second)}/s)"
    if derived.cycles_per_mac is not None:
        parts[0] += f" ({derived.cycles_per_mac:.2f} cycles each)"
    return ", ".join(parts)


def _measured(result: JobResult) -> RenderableType:
    identity, load = result.identity, result.load
    grid = _grid()
    emulated = "  emulated" if identity.emulated else ""
    grid.add_row(
        "board", f"{identity.device_id} ({identity.board_uid}) on {identity.host}{emulated}"
    )
    grid.add_row("chip", chip(identity))
    grid.add_row("clock", f"{identity.timer_name}, {identity.timer_resolution_ns} ns steps")
    grid.add_row(
        "firmware",
        f"{identity.firmware_version} {identity.firmware_git_hash} ({identity.toolchain})",
    )
    how = f"{_CAME.get(load.how, load.how)} {load.region}, checked in {human_s(load.load_device_s)}"
    if load.transfer_s is not None:
        how += f"; {human_bytes(load.transfer_bytes)} sent in {human_s(load.transfer_s)}"
    if load.transfer_bytes_per_second is not None:
        how += f" ({human_bytes(load.transfer_bytes_per_second)}/s)"
    grid.add_row("loaded", how)
    for region in result.regions:
        grid.add_row(f"memory {region.name}", _memory(region, result.memory))
    for place, celsius in (result.temperature_celsius or {}).items():
        note = " (emulated)" if result.temperature_emulated else ""
        grid.add_row(f"temperature {place}", f"{celsius:.1f} °C{note}")
    if result.energy_per_token_mj is not None:
        by = f", by {result.energy_meter}" if result.energy_meter else ""
        energy = human_energy(result.energy_per_token_mj, result.energy_samples_mj)
        grid.add_row("energy", f"{energy} per token{by}")
    if result.energy_trouble:
        grid.add_row("energy", f"none: {result.energy_trouble}")
    if result.clock_trouble:
        grid.add_row("clock", f"runs are not in the trace: {result.clock_trouble}")
    for case in result.cases:
        if case.derived is not None and case.derived.macs_per_token is not None:
            grid.add_row("a token", _work(case.derived))
        if case.score is not None:
            grid.add_row("perplexity", _score(case.score))
        if case.text is not None:
            grid.add_row("text", shown_text(case))
    return Padding(grid, (1, 0, 0, 0))
