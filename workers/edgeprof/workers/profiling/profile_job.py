"""Profile a job: a claimed job carried out on an open board, from load to checked result.

The steps: profile_job loads the model and runs each case; case_runner.py runs, checks and scores
one case; measure.py turns the board's reports into numbers; board_clock.py places them in time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from opentelemetry import trace

from edgeprof.shared.models import ModelFile
from edgeprof.shared.models.operators import dimensions_of
from edgeprof.shared.own_version import own_version
from edgeprof.shared.reference import Reference
from edgeprof.shared.types.job import SCHEMA_VERSION, JobSpec
from edgeprof.shared.types.result import Identity, JobResult, LoadResult, MemoryUse
from edgeprof.workers.board.protocols import Hello, RunBoard
from edgeprof.workers.profiling.board_clock import BoardClock
from edgeprof.workers.profiling.case_runner import CaseRunner, tokenizer_or_none
from edgeprof.workers.profiling.ceilings_file import ceilings_of
from edgeprof.workers.profiling.energy import EnergyAccount, EnergyMeter
from edgeprof.workers.profiling.looking import TOO_OLD
from edgeprof.workers.profiling.progress import Progress, ProgressSink


def profile_job(
    board: RunBoard,
    spec: JobSpec,
    model_path: Path,
    model: ModelFile,
    reference: Reference,
    *,
    epoch: int,
    progress: ProgressSink,
    should_stop: Callable[[], bool],
    host: str,
    device_id: str,
    ceilings_dir: Path | None = None,
    meter: EnergyMeter | None = None,
) -> JobResult:
    """Carry out a job on an open board.

    Raises a Fault, or Cancelled once should_stop() is true. `epoch` is the attempt's fencing
    token, which the board compares with those it has seen. `ceilings_dir` keeps what boards could
    do at best; without one it is measured each time.
    """
    tracer = trace.get_tracer("edgeprof")
    clock = BoardClock(board)
    with tracer.start_as_current_span("device_connection") as span:
        span.set_attribute("edgeprof.clock_offset_error_s", clock.read().error_s)
    counted = Progress(spec, progress)
    energy = EnergyAccount(meter)
    with tracer.start_as_current_span("model_loading"):
        load, memory = _load(board, spec, model_path, epoch, counted, should_stop, clock)
    ceilings = ceilings_of(board, ceilings_dir, epoch) if spec.profile else None
    dimensions = dimensions_of(model, spec.kv_type, _region_of_weights(memory, load))
    runner = CaseRunner(
        board=board,
        spec=spec,
        model=model,
        reference=reference,
        epoch=epoch,
        progress=counted,
        should_stop=should_stop,
        clock=clock,
        energy=energy,
        tokenizer=tokenizer_or_none(model),
        dimensions=dimensions,
    )
    with tracer.start_as_current_span("inference_profiling"):
        cases = tuple(runner.run(case) for case in spec.cases)
    stats = board.stats()
    return JobResult(
        schema_version=SCHEMA_VERSION,
        model=spec.model,
        identity=_identity(board.hello, host, device_id),
        load=load,
        cases=cases,
        memory=memory,
        regions=stats.regions,
        temperature_celsius=stats.temperature_celsius,
        temperature_emulated=stats.temperature_emulated,
        energy_per_token_mj=energy.per_token_mj,
        # Cases differ in length, so of several the repetitions are no samples of one quantity.
        energy_samples_mj=energy.samples_mj if len(spec.cases) == 1 else (),
        energy_meter=energy.meter,
        energy_trouble=energy.trouble(clock.trouble),
        clock_trouble=clock.trouble or None,
        dimensions=dimensions,
        ceilings=ceilings,
        profile_trouble=TOO_OLD if spec.profile and ceilings is None else None,
    )


def _load(
    board: RunBoard,
    spec: JobSpec,
    model_path: Path,
    epoch: int,
    progress: Progress,
    should_stop: Callable[[], bool],
    clock: BoardClock,
) -> tuple[LoadResult, tuple[MemoryUse, ...]]:
    """Put the model onto the board, and read its clock again: a load may restart the board."""
    began_s = time.monotonic()
    load, memory = board.load(
        model_path,
        spec.model.sha256,
        n_ctx=spec.n_ctx,
        kv_type=spec.kv_type,
        epoch=epoch,
        on_progress=progress.loading,
        should_stop=should_stop,
    )
    clock.loaded(load.load_device_s, began_s)
    return load, memory


def _region_of_weights(memory: tuple[MemoryUse, ...], load: LoadResult) -> str:
    return next((use.region for use in memory if use.category == "weights"), load.region)


def _identity(hello: Hello, host: str, device_id: str) -> Identity:
    """Return what was measured: board, firmware, host and version of edgeprof."""
    return Identity(
        device_id=device_id,
        platform=hello.platform,
        host=host,
        board_uid=hello.uid,
        **hello.firmware_and_clock(),
        edgeprof_version=own_version(),
    )
