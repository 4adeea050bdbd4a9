"""Whether a board works: a small model with a known answer, through every part a job would use."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from edgeprof.shared.jobs import JobSpec, Quantization, Target, TestCase
from edgeprof.shared.models import ModelFile, catalogue, quantized
from edgeprof.shared.reference import Reference
from edgeprof.shared.settings import load_settings
from edgeprof.workers import session
from edgeprof.workers.bench import Bench

#: 149 KiB, which fits every board that can run anything we ship.
_MODEL: Final = "shakespeare-240k"
_PROMPT: Final = (1, 300, 400, 401)
_N_GEN: Final = 8


def known_answer(bench: Bench) -> None:
    """Load a model, generate a few tokens, and compare them with the host's. Raises Fault.

    The host computes the answer with the same arithmetic (invariant 5), so a flipped bit in memory, a lame
    clock or a bad link shows, and not only silence.
    """
    model, reference = _known(load_settings().cache_dir)
    spec = JobSpec(
        model=model.ref,
        target=Target(device_id=bench.info.device_id),
        cases=(TestCase(prompt_tokens=_PROMPT, n_gen=_N_GEN),),
        n_ctx=len(_PROMPT) + _N_GEN,
        repetitions=1,
        warmup=0,
    )
    session.profile(
        bench.board,
        spec,
        model.path,
        model,
        reference,
        epoch=bench.store.boards.next_epoch(),
        progress=lambda **_: None,
        should_stop=lambda: False,
        host=bench.info.host,
        device_id=bench.info.device_id,
    )


@cache
def _known(cache_dir: Path) -> tuple[ModelFile, Reference]:
    model = quantized(catalogue.resolve(_MODEL), Quantization.Q4_0, cache_dir / "models")
    return model, Reference(model)
