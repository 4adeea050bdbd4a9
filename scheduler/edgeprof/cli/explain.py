"""The command `edgeprof explain`."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from edgeprof.cli import completion, next_commands, output
from edgeprof.cli.find_job import find_job
from edgeprof.cli.platform_costs import measured_on
from edgeprof.cli.render import explanation, profile_formats
from edgeprof.cli.render.explanation import Explanation
from edgeprof.client.prediction import advice
from edgeprof.client.prediction.costs import fit
from edgeprof.client.prediction.predict import past_errors
from edgeprof.client.prediction.roofline import by_layer, by_operator
from edgeprof.client.prediction.stretches import stretches
from edgeprof.client.prediction.terms import cache_type
from edgeprof.shared.errors import UsageError
from edgeprof.shared.models.quantize import head_in
from edgeprof.shared.types.model import KvType
from edgeprof.shared.types.profile import Phase
from edgeprof.shared.types.result import CaseResult, JobResult, JobView


def explain(
    job_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", autocompletion=completion.jobs, help="A job that was run with --profile."
        ),
    ],
    phase: Annotated[
        Phase | None,
        typer.Option(
            case_sensitive=False,
            metavar="PHASE",
            help="prefill or decode. Default: decode where there is one.",
        ),
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Also show each layer.")] = False,
    by_position: Annotated[
        bool, typer.Option("--by-position", help="Also show what a token takes by its position.")
    ] = False,
    folded: Annotated[
        bool,
        typer.Option("--folded", help="Print folded stacks of ticks, for flame-graph programs."),
    ] = False,
    perfetto: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a trace that ui.perfetto.dev opens."),
    ] = None,
    wide: output.Wide = False,
    json: output.Json = False,
) -> None:
    """Say why a job is as fast as it is: where its time goes, and what would help.

    Example: edgeprof explain 7h2kq9c4m0xz --layers
    """
    view, _ = find_job(job_id)
    result, case = _profiled(view)
    assert case.profile is not None
    if folded:
        output.data(profile_formats.folded(case.profile))
        return
    if perfetto is not None:
        name = f"{view.model.name} {view.model.made_as} on {result.identity.device_id}"
        perfetto.write_text(json_module.dumps(profile_formats.perfetto(case.profile, name)))
        output.note(f"{perfetto}: open it in https://ui.perfetto.dev")
        return
    said = _explained(view, result, case, phase)
    if json:
        output.print_json(_as_json(view, result, case, said))
        return
    emulated = ", emulated" if result.identity.emulated else ""
    output.stdout().print(
        f"{view.model.name} {view.model.made_as} on {result.identity.device_id}{emulated}:"
        f" {said.phase} of {said.n_tokens} tokens after {_after(said, case)}",
        soft_wrap=True,
    )
    output.show_sheet(explanation.operators_sheet(said), wide=wide)
    if layers and case.profile.by_layer:
        output.show_sheet(explanation.layers_sheet(said), wide=wide)
    if by_position and said.by_position:
        output.show_sheet(explanation.positions_sheet(said), wide=wide)
    for sentence in explanation.sentences(said):
        output.stdout().print(sentence)
    for command in explanation.commands(said):
        output.stdout().print(command, soft_wrap=True)  # whole, to be copied


def _after(said: Explanation, case: CaseResult) -> str:
    return f"{case.n_prompt} of prompt" if said.phase is Phase.DECODE else "nothing"


def _profiled(view: JobView) -> tuple[JobResult, CaseResult]:
    """Return the result and its first profiled case; raise UsageError where there is none."""
    if view.result is None:
        raise UsageError(
            f"job {view.id} is {view.state}, so there is nothing to explain",
            hint=f"edgeprof job {view.id}",
        )
    for case in view.result.cases:
        if case.profile is not None and view.result.dimensions is not None:
            return view.result, case
    raise UsageError(
        f"job {view.id} has no profile: {view.result.profile_trouble or 'it did not ask for one'}",
        hint=next_commands.profiling(view, view.result),
    )


def _explained(
    view: JobView, result: JobResult, case: CaseResult, phase: Phase | None
) -> Explanation:
    assert case.profile is not None
    assert result.dimensions is not None
    chosen = phase or (Phase.DECODE if case.profile.decode_ticks else Phase.PREFILL)
    if not case.profile.window_ticks(chosen):
        raise UsageError(f"this job has no {chosen}: it generated {case.n_gen} tokens")
    samples = measured_on(result.identity.platform, result.identity.firmware_git_hash)
    speed = case.decode_tokens_per_second
    if chosen is Phase.PREFILL or speed is None:
        speed = case.prefill_tokens_per_second
    costs, chain = fit(samples), view.model.source.chain if view.model.source else ()
    asked = advice.Asked(
        result.dimensions,
        case.n_prompt,
        case.n_gen,
        head=head_in(view.model.name)[1],
        trained_as=chain,
        spare_bytes=_spare_bytes(result, result.dimensions.weights_region),
    )
    choices = advice.choices(costs, asked)
    caches = {cache_type(key) for key in costs.by_key}
    return Explanation(
        phase=chosen,
        n_tokens=case.n_prompt if chosen is Phase.PREFILL else case.n_gen - 1,
        profile=case.profile,
        uses=by_operator(case.profile, chosen, result.dimensions, result.ceilings),
        layers=by_layer(case.profile, chosen),
        derived=case.derived,
        choices=choices,
        errors=past_errors(samples, of_new_types=bool(choices) and choices[0].of_new_type),
        no_choices_because="" if case.n_gen > 1 else "a job without decode has no advice",
        tokens_per_second=speed.mean,
        by_position=stretches(case.profile, case.n_prompt, case.n_gen),
        try_it=next_commands.trying(view, result, case, choices[0]) if choices else None,
        profile_another=next_commands.profiling_another(view, result),
        unknown_cache=next((str(kind) for kind in KvType if kind not in caches), None),
    )


def _spare_bytes(result: JobResult, region: str) -> int | None:
    found = next((each for each in result.regions if each.name == region), None)
    return None if found is None else found.total_bytes - found.used_bytes


def _as_json(
    view: JobView, result: JobResult, case: CaseResult, said: Explanation
) -> dict[str, object]:
    return {
        "job": view.id,
        "phase": said.phase,
        "tokens": said.n_tokens,
        "tokens_per_second": said.tokens_per_second,
        "tick_hz": said.profile.tick_hz,
        "window_ticks": said.profile.window_ticks(said.phase),
        "unaccounted_ticks": said.profile.unaccounted_ticks(said.phase),
        "cost_of_looking": said.profile.cost_of_looking,
        "operators": [
            {
                "operator": use.operator,
                "ticks": use.ticks,
                "share": use.share,
                "calls": use.calls,
                "macs": use.macs,
                "weight_bytes": use.weight_bytes,
                "cache_bytes": use.cache_bytes,
                "macs_per_second": use.macs_per_second,
                "attainable_macs_per_second": use.attainable_macs_per_second,
                "reached": use.reached,
                "binds": use.binds,
            }
            for use in said.uses
        ],
        "layers": [{"layer": layer, "ticks": ticks} for layer, ticks in said.layers.items()],
        "by_position": [
            {"first": stretch.first, "last": stretch.last, "ticks": dict(stretch.ticks)}
            for stretch in said.by_position
        ],
        "choices": [
            {
                "what": choice.what,
                "option": choice.option,
                "command": next_commands.trying(view, result, case, choice),
                "predicted_decode_ratio": choice.decode_ratio,
                "predicted_decode_tokens_per_second": said.tokens_per_second * choice.decode_ratio
                if said.phase is Phase.DECODE
                else choice.predicted.decode_tokens_per_second,
            }
            for choice in said.choices
        ],
        "prediction_error": None
        if said.errors is None
        else {"median": said.errors.median, "p90": said.errors.p90, "n": said.errors.n},
        "derived": None if said.derived is None else said.derived.model_dump(mode="json"),
        "sentences": explanation.sentences(said),
    }
