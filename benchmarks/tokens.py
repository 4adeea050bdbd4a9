"""Device time of a token by port and weight type. Emulated chips count instructions, or cycles."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.harness import Result
from edgeprof.shared.errors import HostFault, ModelError
from edgeprof.shared.models import ModelFile, quantized
from edgeprof.shared.models.catalogue import resolve
from edgeprof.shared.types.model import KvType, Quantization
from edgeprof.workers.emulated.protocol_qemu import MACHINES
from edgeprof.workers.link.device import OpenOptions, open_board

NAME = "tokens"
N_GEN: Final = 32
#: On slow emulators. Their times repeat, so few steps are enough.
N_GEN_SLOW: Final = 4
SMALL: Final = "shakespeare-240k"
FLOATS: Final = (Quantization.F32, Quantization.F16)


@dataclass(frozen=True, slots=True)
class Port:
    """How a port is reached, and what its clock counts."""

    url: str
    column: str
    #: What passes in a microsecond of its clock; None: the clock is the host's.
    per_us: float | None = None
    n_gen: int = N_GEN
    #: Its emulator needs minutes for the large model, and for floats on a chip without an FPU.
    light_only: bool = False

    def runs(self, name: str, quantization: Quantization) -> bool:
        """Whether this takes less than some minutes."""
        return not self.light_only or (name == SMALL and quantization not in FLOATS)


def _qemu(name: str) -> Port:
    per_us = 1000 / 2 ** MACHINES[name].icount_shift
    return Port(f"qemu://{name}?uid=be", f"{name} Minstr", per_us)


PORTS: Final[Mapping[str, Port]] = {
    "native": Port("native://?uid=be", "native tok/s"),
    **{n: _qemu(n) for n in ("stm32f405", "mps2-an500", "riscv32-virt", "xtensa-lx60")},
    "rp2040": Port("rp2040js://rp2040?uid=be", "rp2040 Mcycles", 125, N_GEN_SLOW),
    # labwired takes every instruction for a cycle of 160 MHz.
    "esp32c3": Port(
        "labwired://esp32c3?uid=be", "esp32c3 Minstr", 160, N_GEN_SLOW, light_only=True
    ),
}


def measure(*, quick: bool) -> Result:
    """Decode after a prompt of 32 tokens on each port: the median step, and its instructions."""
    ports = [PORTS[name] for name in (("native", "stm32f405") if quick else PORTS)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in (SMALL, "shakespeare-1m"):
            for quantization in Quantization:
                try:
                    model = quantized(resolve(name), quantization, Path(folder))
                except ModelError:
                    continue  # TQ2_0 needs rows of 256
                row: dict[str, object] = {"model": f"{name} {quantization}"}
                for port in ports:
                    runs = port.runs(name, quantization)
                    row[port.column] = _on(port, model, Path(folder)) if runs else "not run"
                rows.append(row)
    return Result(
        NAME, "A decode step: native tokens/s; emulated, million instructions or cycles", rows
    )


def _on(port: Port, model: ModelFile, folder: Path) -> float | str:
    try:
        board = open_board(port.url, OpenOptions(lock_dir=folder, slot_dir=folder))
    except HostFault as fault:
        return fault.code
    try:
        board.load(
            model.path, model.sha256, n_ctx=64, kv_type=KvType.F16, epoch=1,
            on_progress=lambda _done, _total: None, should_stop=lambda: False,
        )  # fmt: skip
        run = board.run(
            range(300, 332), port.n_gen, epoch=1,
            on_token=lambda _i, _t: None, should_stop=lambda: False,
        )  # fmt: skip
    except ModelError:
        return "does not fit"
    finally:
        board.close()
    step_us = statistics.median(run.step_us)
    return round(1e6 / step_us) if port.per_us is None else round(step_us * port.per_us / 1e6, 3)
