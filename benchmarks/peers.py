"""A native board beside llama2.c's `run` and llama.cpp: one core, the same models, in turn.

llama2.c takes part where LLAMA2C names its run.c; nothing of it is kept.
"""

from __future__ import annotations

import os
import statistics
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

from benchmarks.harness import Result, interleaved
from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.types.model import KvType
from edgeprof.workers.link.device import OpenOptions, open_board
from tests.support.llama_cpp import llama_cpp

NAME = "peers"
N_PROMPT: Final = 32
N_STEPS: Final = 32
N_CTX: Final = 128
#: The shape of stories260K, and one of three million parameters; random weights take as long.
SMALL: Final = SyntheticLlama(dim=64, hidden=172, n_layers=5, n_vocab=512, n_ctx=512)
LARGE: Final = SyntheticLlama(dim=256, hidden=704, n_layers=4, n_vocab=512, n_ctx=512)
#: TQ2_0 has blocks of 256.
WIDER: Final = replace(LARGE, hidden=768)
MODELS: Final[Mapping[str, SyntheticLlama]] = {
    "260K F32": SMALL,
    **{f"3M {t.name}": replace(LARGE, matrix_type=t) for t in (Type.F32, Type.F16, Type.Q8_0)},
    "3M Q4_0": replace(LARGE, matrix_type=Type.Q4_0),
    "3M/768 Q4_0": replace(WIDER, matrix_type=Type.Q4_0),
    "3M/768 TQ2_0": replace(WIDER, matrix_type=Type.TQ2_0),
}
#: The order of the matrices in llama2.c's files.
_LLAMA2C: Final = (
    "attn_norm", "attn_q", "attn_k", "attn_v", "attn_output",
    "ffn_norm", "ffn_gate", "ffn_down", "ffn_up",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Place:
    """Where models and the compiled peer are."""

    folder: Path
    run: Path | None


def measure(*, quick: bool) -> Result:
    """Decode at positions 32 to 63: the median step of each, and the ratios of their speeds."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        place = _Place(Path(name), _compiled(Path(name)))
        for label, synthetic in MODELS.items():
            model = ModelFile.open(synthetic.write(place.folder / "model.gguf"))
            us = interleaved(_contestants(place, synthetic, model), 3 if quick else 15)
            rows.append(
                {
                    "model": label,
                    **{f"{who} us": round(value, 1) for who, value in us.items()},
                    "of llama.cpp": us["llama.cpp"] / us["ours, KV F16"],
                    "of run": us["run"] / us["ours, KV F32"] if "run" in us else None,
                }
            )
    columns = dict.fromkeys(column for row in rows for column in row)
    rows = [{column: row.get(column) or "" for column in columns} for row in rows]
    return Result(NAME, "A decode step beside other programs, one core; ratios of speeds", rows)


def _contestants(
    place: _Place, synthetic: SyntheticLlama, model: ModelFile
) -> dict[str, Callable[[], float]]:
    found = {
        "ours, KV F16": lambda: _ours(place, model, KvType.F16),
        "llama.cpp": lambda: _llama_cpp(model),
    }
    if place.run is not None and synthetic.matrix_type is Type.F32:
        path = _as_llama2c(synthetic, model.path)
        found["ours, KV F32"] = lambda: _ours(place, model, KvType.F32)
        found["run"] = lambda: _run(place, path)
    return found


def _ours(place: _Place, model: ModelFile, kv_type: KvType) -> float:
    options = OpenOptions(lock_dir=place.folder, slot_dir=place.folder)
    board = open_board("native://?uid=be&ram=67108864", options)
    try:
        board.load(
            model.path, model.sha256, n_ctx=N_CTX, kv_type=kv_type, epoch=1,
            on_progress=lambda _done, _total: None, should_stop=lambda: False,
        )  # fmt: skip
        run = board.run(
            range(N_PROMPT), N_STEPS, epoch=1,
            on_token=lambda _i, _t: None, should_stop=lambda: False,
        )  # fmt: skip
    finally:
        board.close()
    return statistics.median(run.step_us)


def _llama_cpp(model: ModelFile) -> float:
    with llama_cpp(model.path, N_CTX, model.shape.n_vocab) as peer:
        for token in range(N_PROMPT):
            logits = peer.step(token)
        seconds = []
        for _ in range(N_STEPS):
            chosen = int(logits.argmax())  # as in llama-bench, not in its time
            started = time.perf_counter()
            logits = peer.step(chosen)
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) * 1e6


def _compiled(folder: Path) -> Path | None:
    source = os.environ.get("LLAMA2C")
    if source is None:
        return None
    program = folder / "run"
    harness = str(Path(__file__).with_name("peer_run.c"))
    command = ["cc", "-O3", "-march=native", "-ffast-math", "-w", "-DTESTING"]
    command += [f'-DRUN_C="{Path(source).resolve()}"', harness, "-lm", "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def _run(place: _Place, model: Path) -> float:
    assert place.run is not None
    command = [str(place.run), str(model), str(N_PROMPT), str(N_STEPS)]
    return float(subprocess.run(command, check=True, capture_output=True).stdout)


def _as_llama2c(m: SyntheticLlama, path: Path) -> Path:
    """Write the same weights as llama2.c has them: a header, matrices, unused rotations."""
    weights = {t.name: np.asarray(t.data) for t in gguf.GGUFReader(path).tensors}
    target = path.with_suffix(".bin")
    with target.open("wb") as file:
        sizes = (m.dim, m.hidden, m.n_layers, m.n_heads, m.n_heads_kv, m.n_vocab, m.n_ctx)
        file.write(struct.pack("7i", *sizes))
        file.write(weights["token_embd.weight"].tobytes())
        for part in _LLAMA2C:
            for layer in range(m.n_layers):
                file.write(weights[f"blk.{layer}.{part}.weight"].tobytes())
        file.write(weights["output_norm.weight"].tobytes())
        file.write(bytes(4 * m.n_ctx * (m.dim // m.n_heads)))
    return target
