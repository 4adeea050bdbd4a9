"""Error of predictions on instruction clocks: each shape from the profiles of all others."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from gguf import GGMLQuantizationType as Type

from benchmarks.harness import Result
from edgeprof.client.prediction.costs import Measured, fit
from edgeprof.client.prediction.predict import predict
from edgeprof.shared.errors import ModelError
from edgeprof.shared.models import ModelFile, quantized
from edgeprof.shared.models.catalogue import resolve
from edgeprof.shared.models.operators import dimensions_of
from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.types.model import KvType, Quantization
from edgeprof.workers.board.protocols import RunReport
from edgeprof.workers.link.device import LinkBoard, OpenOptions, open_board

NAME = "prediction"
#: The bundled models, and shapes between and beyond them.
BUNDLED: Final = ("shakespeare-240k", "shakespeare-1m")
SYNTHETIC: Final = (
    SyntheticLlama(dim=64, hidden=160, n_layers=3, n_heads=8, n_heads_kv=4, n_vocab=512),
    SyntheticLlama(dim=96, hidden=256, n_layers=2, n_heads=6, n_heads_kv=6, n_vocab=256),
    SyntheticLlama(dim=128, hidden=256, n_layers=2, n_heads=4, n_heads_kv=2, n_vocab=384),
    SyntheticLlama(dim=32, hidden=96, n_layers=6, n_heads=4, n_heads_kv=2, n_vocab=320),
    SyntheticLlama(dim=64, hidden=192, n_layers=1, n_heads=2, n_heads_kv=1, n_vocab=1024),
    SyntheticLlama(dim=128, hidden=384, n_layers=1, n_heads=8, n_heads_kv=8, n_vocab=256),
    SyntheticLlama(dim=96, hidden=192, n_layers=4, n_heads=12, n_heads_kv=4, n_vocab=200),
    SyntheticLlama(dim=160, hidden=320, n_layers=2, n_heads=5, n_heads_kv=5, n_vocab=300),
    SyntheticLlama(dim=64, hidden=128, n_layers=5, n_heads=4, n_heads_kv=4, n_vocab=128),
    SyntheticLlama(dim=192, hidden=256, n_layers=1, n_heads=6, n_heads_kv=2, n_vocab=640),
)
TYPES: Final = (Type.Q8_0, Type.Q4_0)
PLATFORMS: Final = ("stm32f405", "riscv32-virt")


def measure(*, quick: bool) -> Result:
    """Profile every model on each platform; predict prefill and decode of each shape."""
    rows = []
    for platform in PLATFORMS[:1] if quick else PLATFORMS:
        with tempfile.TemporaryDirectory() as folder:
            samples = [
                sample
                for model in _models(Path(folder), quick=quick)
                for sample in _sample(platform, model, Path(folder))
            ]
        errors = list(_errors(samples))
        median, p90, worst = np.percentile(errors, (50, 90, 100)) * 100
        rows.append(
            {
                "platform": platform,
                "models": len(samples),
                "shapes": len({_sizes(sample) for sample in samples}),
                "median %": round(float(median), 2),
                "p90 %": round(float(p90), 2),
                "worst %": round(float(worst), 2),
            }
        )
    return Result(NAME, "Error of predicted prefill and decode, each shape held out", rows)


def _models(folder: Path, *, quick: bool) -> Iterator[ModelFile]:
    for name, kind in itertools.product(BUNDLED, Quantization):
        try:
            yield quantized(resolve(name), kind, folder)
        except ModelError:
            continue  # TQ2_0 needs rows of 256
    shapes = SYNTHETIC[:3] if quick else SYNTHETIC
    for number, (shape, kind) in enumerate(itertools.product(shapes, TYPES)):
        typed = replace(shape, matrix_type=kind)
        yield ModelFile.open(typed.write(folder / f"synthetic-{number}.gguf"))


def _sample(platform: str, model: ModelFile, folder: Path) -> Iterator[Measured]:
    board = open_board(f"qemu://{platform}?uid=be", OpenOptions(lock_dir=folder, slot_dir=folder))
    try:
        yield _measured(board, model)
    except ModelError:
        return  # does not fit
    finally:
        board.close()


def _measured(board: LinkBoard, model: ModelFile) -> Measured:
    ceilings = board.ceilings(1)
    prompt = [token % model.shape.n_vocab for token in range(7, 39)]
    _, memory = board.load(
        model.path, model.sha256, n_ctx=len(prompt) + 15, kv_type=KvType.F16, epoch=1,
        on_progress=lambda _done, _total: None, should_stop=lambda: False,
    )  # fmt: skip
    plain = board.run(prompt, 16, epoch=1, on_token=lambda _i, _t: None, should_stop=lambda: False)
    profiled = board.profile(
        prompt, 16, epoch=1, on_token=lambda _i, _t: None, should_stop=lambda: False
    )
    assert profiled is not None
    region = next(use.region for use in memory if use.category == "weights")
    return Measured(
        dimensions_of(model, KvType.F16, region), len(prompt), 16, *_times_s(plain),
        profiled.profile, ceilings, _ram_bytes(board),
    )  # fmt: skip


def _ram_bytes(board: LinkBoard) -> dict[str, int]:
    return {r.name: r.available_bytes for r in board.hello.regions if r.kind == "ram"}


def _times_s(run: RunReport) -> tuple[float, float]:
    return run.prefill_us / 1e6, sum(run.step_us) / 1e6


def _sizes(sample: Measured) -> str:
    types = {"embedding_type": "", "head_type": "", "layer_types": (), "weights_region": ""}
    return sample.dimensions.model_copy(update=types).model_dump_json()


def _errors(samples: list[Measured]) -> Iterator[float]:
    for sample in samples:
        costs = fit([other for other in samples if _sizes(other) != _sizes(sample)])
        found = predict(costs, sample.dimensions, sample.n_prompt, sample.n_gen)
        assert found is not None
        yield abs(found.prefill_s / sample.prefill_s - 1)
        yield abs(found.decode_s / sample.decode_s - 1)
