"""Device time of a token by port and weight type. QEMU's clock counts instructions exactly."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks.harness import Result
from edgeprof.shared.errors import ModelError
from edgeprof.shared.models import ModelFile, quantized
from edgeprof.shared.models.catalogue import resolve
from edgeprof.shared.types.model import KvType, Quantization
from edgeprof.workers.emulated.protocol_qemu import MACHINES
from edgeprof.workers.link.device import OpenOptions, open_board

NAME = "tokens"
N_GEN = 32


def measure(*, quick: bool) -> Result:
    """Decode after a prompt of 32 tokens on each port: the median step, and its instructions."""
    ports = ("native", "stm32f405") if quick else ("native", *_one_a_machine())
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("shakespeare-240k", "shakespeare-1m"):
            for quantization in Quantization:
                try:
                    model = quantized(resolve(name), quantization, Path(folder))
                except ModelError:
                    continue  # TQ2_0 needs rows of 256
                row: dict[str, object] = {"model": f"{name} {quantization}"}
                for port in ports:
                    row |= _on(port, model, Path(folder))
                rows.append(row)
    return Result(
        NAME, "A decode step: native tokens/s; emulated, million instructions a token", rows
    )


def _one_a_machine() -> list[str]:
    """Leave out the ports that compute the same instructions as one before, on the same machine."""
    first: dict[tuple[str, ...], str] = {}
    for port, machine in MACHINES.items():
        first.setdefault(machine.arguments, port)
    return list(first.values())


def _on(port: str, model: ModelFile, folder: Path) -> dict[str, object]:
    url = "native://?uid=be" if port == "native" else f"qemu://{port}?uid=be"
    column = "native tok/s" if port == "native" else f"{port} Minstr"
    board = open_board(url, OpenOptions(lock_dir=folder, slot_dir=folder))
    try:
        board.load(
            model.path, model.sha256, n_ctx=64, kv_type=KvType.F16, epoch=1,
            on_progress=lambda _done, _total: None, should_stop=lambda: False,
        )  # fmt: skip
        run = board.run(
            range(300, 332), N_GEN, epoch=1, on_token=lambda _i, _t: None, should_stop=lambda: False
        )
    except ModelError:
        return {column: "does not fit"}
    finally:
        board.close()
    step_us = statistics.median(run.step_us)
    if port == "native":
        return {column: round(1e6 / step_us)}
    instructions = step_us * 1000 / 2 ** MACHINES[port].icount_shift
    return {column: round(instructions / 1e6, 3)}
