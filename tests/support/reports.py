"""Measured jobs of several kinds, and a report of them taken apart."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from edgeprof.scheduler.report import page
from edgeprof.shared.types.model import Quantization
from edgeprof.shared.types.result import (
    InputCase,
    InputScoring,
    JobView,
    MemoryUse,
    RegionUse,
    Samples,
    ScoreResult,
)
from tests.support.finished_job import INPUTS, finished_job

SCORE = ScoreResult(
    n_tokens=256,
    nll_nats=3.7,
    perplexity=41.73,
    perplexity_stderr=7.57,
    text="the-tempest",
    text_sha256="cd" * 32,
    window_tokens=128,
    quantization_error_rate=0.25,
)


def measured_job(job_id: str, *, energy_mj: float | None = None, **others: Any) -> JobView:
    """Return a job that was scored, with memory and, if asked for, energy."""
    view = finished_job(job_id, **others)
    assert view.result is not None
    case = view.result.cases[0].model_copy(
        update={"score": SCORE, "decode_tokens_per_second": Samples.of([100.0, 100.1, 100.2])}
    )
    case = case.model_copy(update={"prefill_tokens_per_second": Samples.of([200.0, 201.0])})
    result = view.result.model_copy(
        update={
            "cases": (case,),
            "energy_per_token_mj": energy_mj,
            "energy_meter": "ppk2" if energy_mj else None,
            "memory": (MemoryUse(category="weights", region="flash", used_bytes=2048),),
            "regions": (
                RegionUse(
                    name="sram", kind="ram", total_bytes=131072, used_bytes=512,
                    high_water_bytes=1024,
                ),
            ),
        }
    )  # fmt: skip
    return view.model_copy(update={"result": result})


def scoring_job(job_id: str) -> JobView:
    """Return a job as a sweep makes it to measure only the quality of a model."""
    scoring = InputScoring(text="the-tempest", text_sha256="cd" * 32, windows=((1, 2, 3),))
    case = InputCase(prompt_tokens=(1,), n_gen=0, scoring=scoring)
    asked = {"score": True, "repetitions": 1, "warmup": 0, "cases": (case,)}
    return measured_job(job_id, inputs=INPUTS.model_copy(update=asked))


def several() -> list[JobView]:
    """Three weight types on silicon, one on an emulator."""
    kinds = (Quantization.F32, Quantization.Q8_0, Quantization.Q4_0)
    silicon = [measured_job(f"chip{kind}", platform="esp32s3", quantization=kind) for kind in kinds]
    return [*silicon, measured_job("emu1", platform="stm32f405")]


def report_of(views: list[JobView], title: str = "A report") -> str:
    """Return a report, always of one moment."""
    return page.report(
        views, title=title, selection="sweep a", without_result=0, now_s=1_800_000_000.0
    )


class Elements(HTMLParser):
    """Every element of a page, and the text by the element that it is in."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._within: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._within and self._within.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.texts.append((self._within[-1] if self._within else "", data.strip()))

    def text(self, *tags: str) -> list[str]:
        """Return what stands in elements of these names."""
        return [text for tag, text in self.texts if tag in tags and text]
