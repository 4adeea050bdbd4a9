"""A power meter that sees the same power at all times, however short a run is."""

from __future__ import annotations


class FakeMeter:
    """Implements EnergyMeter; a real program would be too slow for runs of milliseconds."""

    kind = "fake-meter"

    def __init__(self, power_mw: float = 250.0) -> None:
        self._power_mw = power_mw
        #: The times that it was asked about.
        self.windows: list[tuple[float, float]] = []

    def energy_mj(self, start_s: float, end_s: float) -> float | None:
        """Return power times time."""
        self.windows.append((start_s, end_s))
        return self._power_mw * (end_s - start_s)
