"""What the board timed lies where it happened, on every port and however the model got there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference import Reference
from edgeprof.shared.types.case import TestCase
from edgeprof.shared.types.job import JobSpec, Target
from edgeprof.shared.types.model import Quantization
from edgeprof.workers.board.protocols import ClockOffset, RunReport
from edgeprof.workers.link.device import LinkBoard
from edgeprof.workers.profiling.energy import EnergyMeter
from edgeprof.workers.profiling.profile_job import profile_job
from edgeprof.workers.testing.fake_meter import FakeMeter

pytestmark = pytest.mark.qemu

#: By flash, wherever the port has flash for models, and by RAM.
MODELS = [("stm32f405", Quantization.F32, "flash"), ("mps2-an500", Quantization.F32, "flash"),
          ("mps2-an500", Quantization.Q4_0, "flash"), ("mps2-an505", Quantization.F32, "flash"),
          ("riscv32-virt", Quantization.F32, "ram"),
          ("xtensa-lx60", Quantization.F32, "flash")]  # fmt: skip


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """All spans of this process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


class Recorded:
    """A board whose runs are noted, and whose clock can be tampered with."""

    def __init__(self, board: Any) -> None:
        self._board = board
        self.runs: list[RunReport] = []
        self.skew: Callable[[ClockOffset], ClockOffset] = lambda offset: offset

    def __getattr__(self, name: str) -> Any:
        return getattr(self._board, name)

    def run(self, *args: Any, **more: Any) -> RunReport:
        self.runs.append(self._board.run(*args, **more))
        return self.runs[-1]

    def clock(self) -> ClockOffset:
        return self.skew(self._board.clock())


def measure(board: Any, model: Any, meter: EnergyMeter) -> Any:
    spec = JobSpec(
        model=model.ref, target=Target(platform=board.hello.platform), n_ctx=64,
        cases=(TestCase(prompt_tokens=(300, 400, 401), n_gen=8),), repetitions=2, warmup=1,
    )  # fmt: skip
    return profile_job(
        board, spec, model.path, model, Reference(model), epoch=3, progress=lambda **_: None,
        should_stop=lambda: False, host="here", device_id="b1", meter=meter,
    )  # fmt: skip


def _by_id(spans: InMemorySpanExporter) -> dict[int, ReadableSpan]:
    found = {}
    for span in spans.get_finished_spans():
        context = span.get_span_context()
        assert context is not None
        found[context.span_id] = span
    return found


def _ends(span: ReadableSpan) -> tuple[int, int]:
    assert span.start_time is not None
    assert span.end_time is not None
    return span.start_time, span.end_time


@pytest.mark.parametrize(("port", "quantization", "how"), MODELS)
def test_each_span_is_inside_its_parent(
    open_port: Callable[..., LinkBoard],
    model_of: Callable[..., ModelFile],
    spans: InMemorySpanExporter,
    port: str,
    quantization: Quantization,
    how: str,
) -> None:
    """Flashing restarts the board, and its clock with it: what follows is placed by the new one.

    QEMU's clock leaps where this machine is too busy to run it; such a run is refused, and made
    again.
    """
    model = model_of(port, quantization)
    for _ in range(5):
        spans.clear()
        board, meter = Recorded(open_port(port)), FakeMeter(power_mw=100)
        result = measure(board, model, meter)
        assert result.load.how == how
        if result.clock_trouble is None:
            break
        board.close()
    assert result.clock_trouble is None
    finished = _by_id(spans)
    of_board = [span for span in finished.values() if span.name.startswith("board.")]
    assert [span.name for span in of_board].count("board.decode") == 3
    for span in of_board:
        assert span.parent is not None
        (start, end), (first, last) = _ends(span), _ends(finished[span.parent.span_id])
        assert first <= start <= end <= last
        assert span.attributes is not None
        error_s = span.attributes["edgeprof.clock_offset_error_s"]
        assert isinstance(error_s, float | int)
        assert 0 <= error_s < 5
    # The meter is asked for each repetition, and for nothing else.
    assert len(meter.windows) == 2
    for run, (start_s, end_s) in zip(board.runs[1:], meter.windows, strict=True):
        assert run.host_sent_s <= start_s < end_s <= run.host_done_s
        assert end_s - start_s > 0.5 * (run.host_done_s - run.host_sent_s)
    assert result.energy_per_token_mj > 0


def test_clock_that_cannot_be_trusted_places_nothing(
    open_port: Callable[..., LinkBoard],
    model_of: Callable[..., ModelFile],
    spans: InMemorySpanExporter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Spans and energy are absent, with the reason in trace, log and result; the numbers stay."""
    board, meter = Recorded(open_port("riscv32-virt")), FakeMeter(power_mw=100)
    looks = iter(range(1000))
    board.skew = lambda offset: dataclasses.replace(
        offset, offset_s=offset.offset_s + 4294.967296 * (next(looks) // 3)
    )
    result = measure(board, model_of("riscv32-virt", Quantization.Q4_0), meter)

    assert "wrapped" in result.clock_trouble
    assert result.energy_per_token_mj is None
    assert result.energy_trouble == result.clock_trouble
    assert result.cases[0].decode_tokens_per_second.mean > 0
    told = [line for line in caplog.messages if result.clock_trouble in line]
    assert len(told) == 1
    (case,) = [span for span in spans.get_finished_spans() if span.name == "test_case"]
    assert case.attributes is not None
    assert case.attributes["edgeprof.board_spans_absent"]
