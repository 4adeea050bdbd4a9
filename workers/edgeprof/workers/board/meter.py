"""A power meter: any program that prints milliwatts, one number a line, as it samples.

Each line gets the host's monotonic time at which it arrives. A run's window comes from the board's
own timestamps, placed on that clock. What the meter did not see is absent from the result, and is
never zero.
"""

from __future__ import annotations

import logging
import math
import statistics
import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from edgeprof.shared.types.result import JobResult
from edgeprof.workers import subprocess_env

log = logging.getLogger(__name__)

_FEWEST_SAMPLES = 3
#: Ten minutes at 1 kHz; older samples are of runs that have been accounted for.
_SAMPLES_KEPT = 600_000
_STOP_LIMIT_S = 2.0


class Meter:
    """Runs the meter program while a job runs. A failure of the program never fails the job."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._samples: deque[tuple[float, float]] = deque(maxlen=_SAMPLES_KEPT)
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def kind(self) -> str:
        """The program's name, which results give as the meter."""
        return Path(self._command[0]).name

    def __enter__(self) -> Self:
        try:
            self._process = subprocess.Popen(
                self._command,
                env=subprocess_env.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                errors="replace",
            )
        except OSError as error:
            log.warning("no energy is measured: %s: %s", self._command[0], error.strerror)
            return self
        self._reader = threading.Thread(target=self._read, name="meter", daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._process is None or self._reader is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def energy_mj(self, start_s: float, end_s: float) -> float | None:
        """Return millijoule between two monotonic times; None when too little was sampled."""
        seen = [mw for at_s, mw in list(self._samples) if start_s <= at_s <= end_s]
        if len(seen) < _FEWEST_SAMPLES:
            return None
        return statistics.fmean(seen) * (end_s - start_s)

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                power_mw = float(line)
            except ValueError:
                continue
            if math.isfinite(power_mw) and power_mw >= 0:
                self._samples.append((time.monotonic(), power_mw))


def mean_power_mw(result: JobResult) -> float | None:
    """Return the mean power over all measured runs of a job; None unless a meter saw them all."""
    if result.energy_per_token_mj is None:
        return None
    runs = [(case.n_gen, case.run_device_s.samples) for case in result.cases]
    tokens = sum(n_gen * len(samples) for n_gen, samples in runs)
    return result.energy_per_token_mj * tokens / sum(sum(samples) for _, samples in runs)
