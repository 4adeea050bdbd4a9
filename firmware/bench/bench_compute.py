#!/usr/bin/env python3
# ruff: noqa: T201 - a script whose output is its result
"""Build and run bench_compute.c: instructions per multiply-accumulate and per token under QEMU.

    firmware/bench/bench_compute.py [MODEL.gguf ...]

One process for each target and model; instructions are exact (-icount), so one run is enough.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORE = HERE.parent / "core"
CORTEX_M = HERE.parent / "ports" / "common" / "cortex-m"
SOURCES = [
    *(
        CORE / "model" / f"{n}.c"
        for n in ("arena", "gguf", "gguf_hparams", "llama", "forward", "steps", "logits")
    ),
    *(
        CORE / "kernels" / f"{n}.c"
        for n in ("attention", "attention_pair", "dequantize", "fmath", "kernels", "softfloat")
    ),
    *(
        CORE / "kernels" / f"kernels_{n}.c"
        for n in ("batch", "dsp", "float", "riscv", "scalar", "vector")
    ),
    *(CORE / "kernels" / f"wide_{n}.c" for n in ("attention", "matvec")),
]
#: Beyond those, what counts by operator.
PROFILE = [CORE / "model" / f"{n}.c" for n in ("profile", "profile_pass")]
#: In the order of tlep_operator.
OPERATORS = (
    *("embedding", "norm", "quantise input", "q", "k", "v", "rope", "cache write", "scores"),
    *("softmax", "mix", "attention output", "gate", "up", "SwiGLU", "down", "residual", "head"),
    "argmax",
)
# As firmware/CMakeLists.txt compiles the core.
FLAGS = [
    "-std=c99",
    f"-I{CORE}",
    "-O3",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wshadow",
    "-ffp-contract=off",
    "-fno-math-errno",
]
SEMIHOSTING = ["-semihosting-config", "enable=on,target=native", "-icount", "shift=0,sleep=off"]
QUIET = ["-nographic", "-monitor", "none", "-serial", "none"]


@dataclass(frozen=True)
class Target:
    """A compiler with its flags, and the emulator that runs what it makes."""

    name: str
    compiler: list[str]
    emulator: list[str] = field(default_factory=list)
    model_address: int | None = None
    main: str = "bench_compute.c"
    #: What runs its program on this host.
    launcher: list[str] = field(default_factory=list)

    def build(self, folder: Path, sources: list[Path] | None = None) -> Path:
        """Compile the bench, or these sources, into `folder` and return the image."""
        sources = sources or [*SOURCES, *PROFILE, HERE / self.main]
        image = folder / f"bench-{self.name}.elf"
        extra = [HERE / "bench_start_arm.c"] if "arm" in self.compiler[0] else []
        subprocess.run(
            [*self.compiler, *FLAGS, *sources, *extra, "-lm", "-o", image],
            check=True,
        )
        return image

    def run(self, image: Path, model: Path | None = None) -> list[list[str]]:
        """Run the image, with a model in memory if one is given; returns its lines, split."""
        command: list[str | Path] = [*self.launcher, image]
        if self.emulator:
            command = [*self.emulator, *QUIET, *SEMIHOSTING, "-kernel", image]
        if model is not None:
            command += ["-device", f"loader,file={model},addr={self.model_address:#x},force-raw=on"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
        return [line.split() for line in (done.stdout + done.stderr).splitlines()]


def _arm(name: str, cpu: list[str], float_abi: str = "hard") -> Target:
    return Target(
        name,
        [
            *["arm-none-eabi-gcc", "-mthumb", f"-mfloat-abi={float_abi}", *cpu],
            *["-nostartfiles", "-T", str(HERE / "bench_arm.ld"), "--specs=rdimon.specs"],
        ],
        ["qemu-system-arm", "-M", "mps2-an500"],
        0x60000000,
    )


_RISCV_MEMORY = {
    "flash": 0x80000000,
    "flash_size": 0x400000,
    "ram": 0x80400000,
    "ram_size": 0x800000,
    "stack_size": 0x10000,
}

# As ports/common/cortex-m/firmware.cmake links what has no FPU.
_SOFT_FLOAT = [
    str(CORTEX_M / "soft_float.S"),
    *(f"-Wl,--wrap=__aeabi_{name}" for name in ("fmul", "fadd", "fsub")),
]
#: What core/kernels/softfloat.c does instead of libgcc.
_WRAPPED = ("addsf3", "subsf3", "mulsf3", "floatsisf")


def _riscv(arch: str, abi: str) -> Target:
    return Target(
        arch,
        [
            *["riscv64-unknown-elf-gcc", "--specs=picolibc.specs", "-misa-spec=2.2"],
            *[f"-march={arch}", f"-mabi={abi}", "--oslib=semihost", "--crt0=hosted"],
            *(f"-Wl,--defsym=__{name}={value:#x}" for name, value in _RISCV_MEMORY.items()),
            *(f"-Wl,--wrap=__{name}" for name in _WRAPPED if abi == "ilp32"),
        ],
        ["qemu-system-riscv32", "-M", "virt", "-bios", "none"],
        0x82000000,
    )


def _aarch64(name: str, arch: str) -> Target:
    compiler = ["aarch64-linux-gnu-gcc", "-static", f"-march={arch}"]
    return Target(name, compiler, launcher=["qemu-aarch64"])


TARGETS = {
    target.name: target
    for target in (
        # QEMU's M7 carries out the M0+'s instructions, which are a part of its own.
        _arm("cortex-m0plus", ["-mcpu=cortex-m0plus", *_SOFT_FLOAT], float_abi="soft"),
        _arm("cortex-m4", ["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16"]),
        _arm("cortex-m7", ["-mcpu=cortex-m7", "-mfpu=fpv5-sp-d16"]),
        _arm("cortex-m7-scalar", ["-mcpu=cortex-m7", "-mfpu=fpv5-sp-d16", "-DTLEP_KERNELS_SCALAR"]),
        _riscv("rv32imafc", "ilp32f"),
        _riscv("rv32imc", "ilp32"),
        Target("host", ["cc"]),
        Target("host-narrow", ["cc", "-DTLEP_KERNELS_NARROW"]),
        # A processor of 2008: the program finds no AVX2 there.
        Target("x86-64-old", ["x86_64-linux-gnu-gcc"], launcher=["qemu-x86_64", "-cpu", "Nehalem"]),
        _aarch64("aarch64", "armv8-a"),
        _aarch64("aarch64-dotprod", "armv8.2-a+dotprod"),
    )
}


def main(models: list[Path]) -> None:
    """Print a table of instructions per multiply-accumulate, and of instructions per token."""
    with tempfile.TemporaryDirectory() as folder:
        for target in TARGETS.values():
            if not target.emulator:
                continue
            image = target.build(Path(folder))
            for line in target.run(image):
                _, kind, rows, columns, instructions, _ = line
                per_mac = int(instructions) / int(rows) / int(columns)
                size = f"{rows:>4} x {columns:4}"
                print(f"{target.name:18} {kind:6} {size} {per_mac:6.2f} instructions/MAC")
            for model in models:
                _print_model(target, model, target.run(image, model))


def _print_model(target: Target, model: Path, lines: list[list[str]]) -> None:
    line = next(line for line in lines if line[0] in ("model", "error"))
    last = int(line[1]) - 1
    print(
        f"{target.name:18} {model.name}: instructions at position 0 {line[2]}, at {last} {line[3]}"
    )
    batch, prefill = next(line for line in lines if line[0] == "prefill")[1:]
    print(f"{'':18} of a prompt, in batches of {batch}: {prefill} at position 15")
    counts = [(int(line[2]), int(line[1])) for line in lines if line[0] == "operator"]
    for count, operator in sorted(counts, reverse=True):
        print(f"{'':18} {OPERATORS[operator]:16} {count:8}")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
