"""One measured test case of a job, with the numbers that tables and plots show.

What was not measured is None, and a table or plot without any value is left out.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from edgeprof.client.llama_bench import chip
from edgeprof.client.model_names import ModelNames, Named
from edgeprof.client.quality import Qualities, measures_quality
from edgeprof.client.trust import unstable
from edgeprof.shared.types.result import (
    CaseResult,
    Identity,
    JobResult,
    JobView,
    Samples,
    ScoreResult,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A case of a job that succeeded."""

    view: JobView
    result: JobResult
    case: CaseResult
    #: The model's name, with a part of its hash where two contents share the name.
    model: str
    #: Whether it is the job's first: what belongs to the whole job is shown once.
    first: bool
    #: The quality of its model, by this job or by one that measured nothing else.
    score: ScoreResult | None
    #: First digits of its firmware's git hash, where its platform had several; else "".
    version: str

    @property
    def type(self) -> str:
        """The weight type: "Q8_0", or "Q4_0>Q8_0" when it was made from a less precise type."""
        return self.view.model.made_as

    @property
    def identity(self) -> Identity:
        """Which board was measured."""
        return self.result.identity

    @property
    def platform(self) -> str:
        """The platform; silicon and an emulator of it are never mixed."""
        return self.identity.platform + (" (emulated)" if self.identity.emulated else "")

    @property
    def chip(self) -> str:
        """The platform and its clock."""
        return chip(self.identity)

    @property
    def test(self) -> str:
        """Which tests the case has, in llama-bench's words."""
        pp, tg = f"pp{self.case.n_prompt}", f"tg{self.case.n_gen}"
        return f"{pp} {tg}" if self.decode else pp

    @property
    def prefill(self) -> Samples:
        """Tokens a second over the prompt."""
        return self.case.prefill_tokens_per_second

    @property
    def decode(self) -> Samples | None:
        """Tokens a second while text is generated."""
        return self.case.decode_tokens_per_second

    @property
    def perplexity(self) -> float | None:
        """Over the text that was scored."""
        return self.score.perplexity if self.score else None

    @property
    def perplexity_error(self) -> float | None:
        """Standard error of the perplexity."""
        return self.score.perplexity_stderr if self.score else None

    @property
    def scored_over(self) -> tuple[str | None, int, int | None] | None:
        """Text, tokens and window of the perplexity: only perplexities that share them compare."""
        score = self.score
        return (score.text_sha256, score.n_tokens, score.window_tokens) if score else None

    @property
    def model_bytes(self) -> int | None:
        """What the model takes, wherever it lies: weights, KV cache, activations."""
        return sum(part.used_bytes for part in self.result.memory) or None

    @property
    def ram_bytes(self) -> int | None:
        """RAM in use when it was fullest, stack included."""
        return self._bytes(in_flash=False)

    @property
    def flash_bytes(self) -> int | None:
        """Flash in use, firmware included."""
        return self._bytes(in_flash=True)

    @property
    def energy_mj(self) -> float | None:
        """Millijoules a generated token, of the whole job."""
        return self.result.energy_per_token_mj

    @property
    def energy_sd_mj(self) -> float | None:
        """Sample deviation of the repetitions' energies; None where they are not kept."""
        samples = self.result.energy_samples_mj
        return statistics.stdev(samples) if len(samples) > 1 else None

    @property
    def unstable(self) -> bool:
        """Whether the repetitions of a speed differ too much for a comparison."""
        speeds = filter(None, (self.prefill, self.decode))
        return any(map(unstable, speeds))

    def _bytes(self, *, in_flash: bool) -> int | None:
        found = [
            region.high_water_bytes
            for region in self.result.regions
            if (region.kind == "flash") == in_flash
        ]
        return sum(found) or None


def measured_of(views: Iterable[JobView]) -> list[Measured]:
    """Return the cases of all jobs that have a result: by platform, the fastest first.

    A job that measured only the quality of a model gives it to those that measured its speed.
    """
    done = [(view, view.result) for view in views if view.result is not None]
    qualities = Qualities(view for view, _ in done)
    timed = {view.model.sha256 for view, _ in done if not measures_quality(view)}
    done = [
        (view, result)
        for view, result in done
        if not (measures_quality(view) and view.model.sha256 in timed)
    ]
    named = [Named(view.model.name, view.model.made_as, view.model.sha256) for view, _ in done]
    names = ModelNames.of(named)
    versions = defaultdict(set)
    for _, result in done:
        versions[result.identity.platform].add(result.identity.firmware_git_hash)
    rows = [
        Measured(
            view=view,
            result=result,
            case=case,
            model=names.name(name),
            first=index == 0,
            version=(
                result.identity.firmware_git_hash[:8]
                if len(versions[result.identity.platform]) > 1
                else ""
            ),
            score=case.score or (quality.score if (quality := qualities.of(view)) else None),
        )
        for (view, result), name in zip(done, named, strict=True)
        for index, case in enumerate(result.cases)
    ]
    return sorted(rows, key=lambda row: (row.platform, -row.decode.mean if row.decode else 0.0))
