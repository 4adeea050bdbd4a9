"""The bare-metal ports, and what their emulators are quick enough for: a new port adds its line."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from gguf import GGMLQuantizationType as Type

from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.types.model import Quantization
from edgeprof.workers.emulated.protocol_rp2040js import emulator_folder


@dataclass(frozen=True, slots=True)
class Emulated:
    """How a port is reached, and how many tokens its emulator makes in the time of a test."""

    scheme: str
    n_tokens: int = 64
    #: Types of which a small random model is run: the one that ships takes too long, or finds no
    #: room in the flash.
    small: tuple[Quantization, ...] = ()
    #: How far equal work may be apart: 0 where a tick is a whole number of instructions.
    apart_us: int = 0
    #: A compiler that not every system has: `make firmware` leaves the port out there.
    compiler: str | None = None


#: For tests of the RP2040: npm's registry is no package index, and not every mirror has it.
needs_rp2040js = pytest.mark.skipif(
    not emulator_folder().is_dir(), reason="make could not fetch rp2040js from npm"
)

PORTS = {
    "stm32f405": Emulated("qemu"),
    "mps2-an500": Emulated("qemu"),
    "mps2-an505": Emulated("qemu"),
    "riscv32-virt": Emulated("qemu"),
    "stm32l475": Emulated("qemu"),
    "nrf52840": Emulated("qemu", small=(Quantization.F32,), apart_us=1),
    "rp2040": Emulated("rp2040js", small=tuple(Quantization)),
    "esp32c3": Emulated("labwired", n_tokens=4, small=tuple(Quantization)),
    "xtensa-lx60": Emulated("qemu", compiler="clang-22"),
}

#: Of some kilobytes a layer: what a slow emulator computes in a test's time. Those of floats are
#: smaller still, as every multiplication takes a hundred instructions where there is no FPU.
_FLOATS = SyntheticLlama(n_ctx=128, dim=32, hidden=64, n_heads=4, n_heads_kv=2, n_vocab=64)
SMALL = {
    Quantization.F32: _FLOATS,
    Quantization.F16: replace(_FLOATS, matrix_type=Type.F16),
    Quantization.Q8_0: SyntheticLlama(n_ctx=128, n_layers=1, n_vocab=64, matrix_type=Type.Q8_0),
    Quantization.Q4_0: SyntheticLlama(n_ctx=128, n_layers=1, n_vocab=64, matrix_type=Type.Q4_0),
    Quantization.TQ2_0: SyntheticLlama(
        n_ctx=128, matrix_type=Type.TQ2_0, dim=256, hidden=256, n_layers=1, n_heads_kv=2
    ),
}
