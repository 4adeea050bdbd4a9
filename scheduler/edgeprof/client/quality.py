"""Whose quality is whose: a model is scored by one job, and its speed measured by others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from edgeprof.shared.types.result import InputScoring, JobView, ScoreResult

#: Texts whose windows begin with as many equal tokens were cut by one tokenizer.
_ALIKE: Final = 16


@dataclass(frozen=True, slots=True)
class Quality:
    """The quality of a model, and what it was measured over."""

    n_ctx: int
    firmware: str
    score: ScoreResult
    #: Perplexities of equal keys compare.
    comparable: tuple[Any, ...]


class Qualities:
    """What the jobs of a selection have measured of their models' quality."""

    def __init__(self, views: Iterable[JobView]) -> None:
        self._known: defaultdict[tuple[str, str], list[Quality]] = defaultdict(list)
        self._least: dict[tuple[Any, ...], float] = {}
        for view in views:
            if quality := _own(view):
                self._known[_key(view)].append(quality)
                least = self._least.get(quality.comparable, quality.score.perplexity)
                self._least[quality.comparable] = min(least, quality.score.perplexity)

    def of(self, view: JobView) -> Quality | None:
        """Return a job's own quality, else that of the same model with the same type of cache.

        In the same context and by the same firmware where there is a choice; None where jobs of
        several other contexts have scored it.
        """
        if own := _own(view):
            return own
        if view.inputs is None or view.result is None:
            return None
        known, n_ctx = self._known[_key(view)], view.inputs.n_ctx
        same = [quality for quality in known if quality.n_ctx == n_ctx]
        if not same and len({quality.n_ctx for quality in known}) == 1:
            same = known
        firmware = view.result.identity.firmware_git_hash
        return min(same, key=lambda quality: quality.firmware != firmware, default=None)

    def increase(self, quality: Quality) -> float:
        """Return how much its perplexity is above the least over the same tokens: 0.05 is 5 %."""
        return quality.score.perplexity / self._least[quality.comparable] - 1


def measures_quality(view: JobView) -> bool:
    """Whether a job measures only the quality of its model (SweepFile.scored)."""
    asked = view.inputs
    if asked is None or not asked.score or (asked.repetitions, asked.warmup) != (1, 0):
        return False
    return all(len(case.prompt_tokens) == 1 and case.n_gen == 0 for case in asked.cases)


def _key(view: JobView) -> tuple[str, str]:
    return view.model.sha256, str(view.inputs.kv_type) if view.inputs else ""


def _own(view: JobView) -> Quality | None:
    if view.result is None or view.inputs is None:
        return None
    score, scoring = view.result.cases[0].score, view.inputs.cases[0].scoring
    if score is None or scoring is None:
        return None
    firmware = view.result.identity.firmware_git_hash
    return Quality(view.inputs.n_ctx, firmware, score, _comparable(scoring))


def _comparable(scoring: InputScoring) -> tuple[Any, ...]:
    return scoring.text_sha256, scoring.windows[0][:_ALIKE]
