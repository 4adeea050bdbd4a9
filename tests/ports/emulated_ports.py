"""The bare-metal ports, and what their emulators are quick enough for: a new port adds its line."""

from __future__ import annotations

from dataclasses import dataclass

from gguf import GGMLQuantizationType as Type

from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.types.model import Quantization


@dataclass(frozen=True, slots=True)
class Emulated:
    """How a port is reached, and how many tokens its emulator makes in the time of a test."""

    scheme: str
    n_tokens: int = 64
    #: Whether it is quick enough for the models that ship; others run a small random one.
    real_models: bool = True


PORTS = {
    "stm32f405": Emulated("qemu"),
    "mps2-an500": Emulated("qemu"),
    "mps2-an505": Emulated("qemu"),
    "riscv32-virt": Emulated("qemu"),
    "stm32l475": Emulated("qemu"),
    "rp2040": Emulated("rp2040js", n_tokens=8, real_models=False),
}

#: Of a kilobyte or so a layer: what a slow emulator computes in a test's time.
SMALL = {
    Quantization.F32: SyntheticLlama(n_ctx=128),
    Quantization.F16: SyntheticLlama(n_ctx=128, matrix_type=Type.F16),
    Quantization.Q8_0: SyntheticLlama(n_ctx=128, matrix_type=Type.Q8_0),
    Quantization.Q4_0: SyntheticLlama(n_ctx=128, matrix_type=Type.Q4_0),
    Quantization.TQ2_0: SyntheticLlama(
        n_ctx=128, matrix_type=Type.TQ2_0, dim=256, hidden=256, n_layers=1, n_heads_kv=2
    ),
}
