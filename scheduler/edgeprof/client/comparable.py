"""Sorts measurements by what has to be equal for them to be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from edgeprof.client.measures import MEASURES, Measure, Nature
from edgeprof.client.quality import measures_quality
from edgeprof.shared.types.result import CaseResult, Identity, JobView


@dataclass(frozen=True, slots=True)
class Key:
    """What has to be equal for two measurements to be compared."""

    model: str
    made_as: str
    model_sha256: str
    platform: str
    n_prompt: int
    #: None in records of schema 1, which had no inputs.
    prompt: tuple[int, ...] | None
    n_gen: int
    n_ctx: int
    kv_type: str


@dataclass(slots=True)
class Measured:
    """Measurements of one key and measure on one side: board -> values of each job."""

    of_board: defaultdict[str, list[Sequence[float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    names: dict[str, str] = field(default_factory=dict)
    views: list[JobView] = field(default_factory=list)

    def add(self, view: JobView, values: Sequence[float]) -> None:
        """Add a job's values."""
        uid = identity_of(view).board_uid
        self.of_board[uid].append(values)
        self.names[uid] = identity_of(view).device_id
        self.views.append(view)


#: A key, a measure, and what the measure is about (the text that was scored).
Place = tuple[Key, str, str]


def key_of(view: JobView, index: int) -> Key:
    """Return what makes a case of a measured job comparable with others."""
    assert view.result is not None
    case, load = view.result.cases[index], view.result.load
    return Key(
        model=view.model.name,
        made_as=view.model.made_as,
        model_sha256=view.model.sha256,
        platform=view.result.identity.platform,
        n_prompt=case.n_prompt,
        prompt=view.inputs.cases[index].prompt_tokens if view.inputs else None,
        n_gen=case.n_gen,
        n_ctx=load.n_ctx,
        kv_type=load.kv_type,
    )


def values_of(view: JobView, index: int, measure: Measure) -> Sequence[float]:
    """Return a measure's values; () where it was not measured, or a value is impossible.

    A job of a sweep that measures quality reads one token and times it: nobody asked for that.
    """
    assert view.result is not None
    if measure.nature is not Nature.EXACT and measures_quality(view):
        return ()
    values = measure.of(view.result, view.result.cases[index])
    return values if all(value > 0 for value in values) else ()


def grouped(views: Iterable[JobView], measures: Collection[str]) -> dict[Place, Measured]:
    """Return all measurements of these jobs by what makes them comparable."""
    found: dict[Place, Measured] = {}
    for view in views:
        for index, case in enumerate(view.result.cases if view.result else ()):
            key = key_of(view, index)
            for name in measures:
                if values := values_of(view, index, MEASURES[name]):
                    about = _about(case) if name == "perplexity" else ""
                    found.setdefault((key, name, about), Measured()).add(view, values)
    return found


def _about(case: CaseResult) -> str:
    score = case.score
    return f"{score.text_sha256} {score.window_tokens} {score.n_tokens}" if score else ""


def identity_of(view: JobView) -> Identity:
    """Return the board of a job that has a result."""
    assert view.result is not None
    return view.result.identity
