"""The boards of the demo, and the part of the sweep that each platform's emulator has time for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edgeprof.client.grid import Grid
from edgeprof.client.request import Request
from edgeprof.shared.errors import UsageError
from edgeprof.shared.types.model import Quantization


@dataclass(frozen=True, slots=True)
class Share:
    """What of the sweep a platform gets; by default all of it."""

    #: None: every model.
    models: tuple[str, ...] | None = None
    quantizations: tuple[Quantization, ...] = (
        Quantization.F32,
        Quantization.Q8_0,
        Quantization.Q4_0,
        Quantization.TQ2_0,
    )
    #: Longest prompt, and longest text. None: as long as was asked for.
    most_tokens: int | None = None
    repetitions: int = 3

    def requests(self, models: Sequence[str], platform: str, base: Request) -> list[Request]:
        """Return the jobs of one platform."""
        limit = self.most_tokens
        if limit is not None:
            base = dataclasses.replace(
                base, n_prompt=min(base.n_prompt, limit), n_gen=min(base.n_gen, limit)
            )
        base = dataclasses.replace(base, repetitions=self.repetitions)
        grid = Grid(
            model=self.models or models, quantization=self.quantizations, platform=[platform]
        )
        return grid.requests(base)


@dataclass(frozen=True, slots=True)
class DemoPlatform:
    """Boards of one kind: id -> URL. All are emulated, and labelled so."""

    boards: Mapping[str, str]
    share: Share = Share()


#: Emulators of some million instructions a second. Their times are the same in each repetition.
_SLOW: Final = Share(
    models=("shakespeare-240k",),
    quantizations=(Quantization.Q8_0, Quantization.Q4_0),
    most_tokens=8,
    repetitions=1,
)

#: In the order of the table.
PLATFORMS: Final[Mapping[str, DemoPlatform]] = {
    "native": DemoPlatform({"native-1": "native://?uid=d001", "native-2": "native://?uid=d002"}),
    "stm32f405": DemoPlatform(
        {"stm32f405-1": "qemu://stm32f405?uid=d003", "stm32f405-2": "qemu://stm32f405?uid=d004"}
    ),
    "mps2-an500": DemoPlatform({"mps2-an500-1": "qemu://mps2-an500?uid=d005"}),
    "riscv32-virt": DemoPlatform({"riscv32-virt-1": "qemu://riscv32-virt?uid=d006"}),
    "xtensa-lx60": DemoPlatform({"xtensa-lx60-1": "qemu://xtensa-lx60?uid=d007"}),
    "rp2040": DemoPlatform(
        {"pico-1": "rp2040js://rp2040?uid=d008"},
        # F32 as well: it shows what it costs to have no FPU.
        dataclasses.replace(_SLOW, quantizations=(Quantization.F32, *_SLOW.quantizations)),
    ),
    "esp32c3": DemoPlatform({"esp32c3-1": "labwired://esp32c3?uid=d009"}, _SLOW),
}


def chosen(names: Sequence[str] | None) -> dict[str, DemoPlatform]:
    """Return the platforms of these names, or all. Raises UsageError for a name that is none."""
    for name in names or ():
        if name not in PLATFORMS:
            raise UsageError(
                f"--platform {name}: the demo has no such board",
                hint=f"platforms: {', '.join(PLATFORMS)}",
            )
    return {name: each for name, each in PLATFORMS.items() if not names or name in names}


def urls_of(platforms: Iterable[DemoPlatform]) -> dict[str, str]:
    """Return the URL of every board, by its id."""
    return {name: url for platform in platforms for name, url in platform.boards.items()}
