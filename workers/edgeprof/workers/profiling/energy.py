"""Energy per token of a job, from a meter and from where each run lay on the host's clock."""

from __future__ import annotations

from typing import Protocol

from edgeprof.workers.profiling.placement import Placed


class EnergyMeter(Protocol):
    """What measures energy; Meter of the board package does."""

    @property
    def kind(self) -> str:
        """What measured."""
        ...

    def energy_mj(self, start_s: float, end_s: float) -> float | None:
        """Return millijoule between two monotonic times; None when too little was sampled."""
        ...


class EnergyAccount:
    """The energy of a job's repetitions. Without a meter it stays empty."""

    def __init__(self, meter: EnergyMeter | None) -> None:
        self._meter = meter
        #: For each repetition: millijoule (None where it is unknown) and tokens generated.
        self._repetitions: list[tuple[float | None, int]] = []

    def add(self, placed: Placed | None, n_gen: int) -> None:
        """Account for a repetition; without a place on the host's clock its energy is unknown."""
        if self._meter is not None:
            energy_mj = self._meter.energy_mj(placed.start_s, placed.end_s) if placed else None
            self._repetitions.append((energy_mj, n_gen))

    @property
    def per_token_mj(self) -> float | None:
        """Millijoule per generated token, prefill included.

        None unless every repetition was metered, and when nothing was generated.
        """
        metered = [energy for energy, _ in self._repetitions if energy is not None]
        generated = sum(tokens for _, tokens in self._repetitions)
        if not metered or len(metered) < len(self._repetitions) or generated == 0:
            return None
        return sum(metered) / generated

    @property
    def samples_mj(self) -> tuple[float, ...]:
        """Millijoule per generated token of each repetition; empty where not all are known."""
        if self.per_token_mj is None:
            return ()
        return tuple(energy / n for energy, n in self._repetitions if energy is not None and n)

    @property
    def meter(self) -> str | None:
        """What measured; None where no energy is known."""
        return None if self._meter is None or self.per_token_mj is None else self._meter.kind

    def trouble(self, clock_trouble: str) -> str | None:
        """Return why no energy is known; None where it is, or where there is no meter."""
        if self._meter is None or self.per_token_mj is not None:
            return None
        if not any(tokens for _, tokens in self._repetitions):
            return "no token was generated"
        return clock_trouble or f"{self._meter.kind} told too little during a repetition"
