"""Adds up what a run would cost, and tells how far off such sums have been."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeprof.client.prediction.costs import Costs, Measured, fit_observed, observe
from edgeprof.client.prediction.terms import work_of
from edgeprof.shared.types.profile import ModelDimensions, Phase


@dataclass(frozen=True, slots=True)
class Predicted:
    """A run that nobody has measured."""

    prefill_s: float
    decode_s: float
    n_prompt: int
    n_gen: int

    @property
    def prefill_tokens_per_second(self) -> float:
        """Prompt tokens over the time of the prefill."""
        return self.n_prompt / self.prefill_s

    @property
    def decode_tokens_per_second(self) -> float | None:
        """Steps over their time; None without a step."""
        return (self.n_gen - 1) / self.decode_s if self.n_gen > 1 else None

    @property
    def run_s(self) -> float:
        """Prefill and decode together."""
        return self.prefill_s + self.decode_s


def predict(
    costs: Costs, dimensions: ModelDimensions, n_prompt: int, n_gen: int
) -> Predicted | None:
    """Return what a run would take; None where the cost of a part is not known."""
    times = {Phase.PREFILL: 0.0, Phase.DECODE: 0.0}
    batched = costs.batches(dimensions, n_prompt + max(n_gen, 1) - 1)
    for phase in Phase:
        if phase is Phase.DECODE and n_gen < 2:
            continue
        work = work_of(dimensions, phase, n_prompt, n_gen, batched=batched)
        for done in work.values():
            cost = costs.of(done.key)
            if cost is None:
                return None
            times[phase] += float(cost @ done.terms)
    return Predicted(times[Phase.PREFILL], times[Phase.DECODE], n_prompt, max(n_gen, 1))


@dataclass(frozen=True, slots=True)
class PastErrors:
    """How far predictions of runs were off that were measured afterwards, as shares."""

    median: float
    p90: float
    n: int


def past_errors(samples: Sequence[Measured]) -> PastErrors | None:
    """Predict each sample from the profiles of all other models, and compare.

    None when there is nothing to compare: a model is never predicted from itself.
    """
    errors, observed = [], [(sample.dimensions, observe(sample)) for sample in samples]
    for dimensions in dict.fromkeys(sample.dimensions for sample in samples):
        costs = fit_observed(seen for of, seen in observed if of != dimensions)
        for sample in (sample for sample in samples if sample.dimensions == dimensions):
            found = predict(costs, dimensions, sample.n_prompt, sample.n_gen)
            if found is None:
                continue
            errors.append(abs(found.prefill_s / sample.prefill_s - 1))
            if sample.decode_s:
                errors.append(abs(found.decode_s / sample.decode_s - 1))
    if not errors:
        return None
    median, p90 = np.percentile(errors, (50, 90))
    return PastErrors(float(median), float(p90), len(errors))
