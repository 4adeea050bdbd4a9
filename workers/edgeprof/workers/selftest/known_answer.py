"""A small model with a known answer, sent through every part of a board that a job would use."""

from __future__ import annotations

import logging
from typing import Final

from edgeprof.shared.errors import BoardFault, ModelError
from edgeprof.shared.models import ModelFile, catalogue, quantized
from edgeprof.shared.reference import Reference
from edgeprof.shared.settings import load_settings
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.case import TestCase
from edgeprof.shared.types.job import JobSpec, Target
from edgeprof.shared.types.model import Quantization
from edgeprof.shared.types.result import JobResult
from edgeprof.workers.board.protocols import SelfTestBoard
from edgeprof.workers.profiling.profile_job import profile_job

log = logging.getLogger(__name__)

#: 149 KiB, which fits every board that can run any of our models.
_MODEL: Final = "shakespeare-240k"
#: TQ2_0 takes rows of 256 weights.
_MODEL_OF_256: Final = "shakespeare-1m"
_QUANTIZATION: Final = Quantization.Q4_0
_PROMPT: Final = (1, 300, 400, 401)
_N_GEN: Final = 8


def check_answer(board: SelfTestBoard, info: BoardInfo, *, epoch: int, suspect: bool) -> None:
    """Load a model, generate a few tokens, and compare them with the host's. Raises a Fault.

    The host computes the answer with the same arithmetic (invariant 5), so a flipped bit in memory
    or in flash shows, and not only silence. A model that does not fit says nothing about the board,
    and then nothing is checked. `suspect`: whether the board is quarantined.
    """
    if _QUANTIZATION not in board.hello.kernels:
        log.info("no known answer checked: the board has no kernel for %s", _QUANTIZATION)
        return
    if not suspect and _would_replace_flash(board, known_model(_QUANTIZATION)):
        log.info("no known answer checked: it would take the place of a model in flash")
        return
    try:
        run_known_answer(board, info, _QUANTIZATION, n_gen=_N_GEN, epoch=epoch)
    except ModelError as error:
        if error.code == "no_memory":
            log.info("no known answer checked: %s", error)
            return
        # The model is known to be good, so the board is wrong about it.
        raise BoardFault(str(error), code=error.code, hint=error.hint) from error


def run_known_answer(
    board: SelfTestBoard, info: BoardInfo, quantization: Quantization, *, n_gen: int, epoch: int
) -> JobResult:
    """Generate tokens on the board, compare them with the host's, and return the measurement.

    Raises a Fault: ModelError when the model does not fit.
    """
    model = known_model(quantization)
    spec = JobSpec(
        model=model.ref,
        target=Target(device_id=info.device_id),
        cases=(TestCase(prompt_tokens=_PROMPT, n_gen=n_gen),),
        n_ctx=len(_PROMPT) + n_gen,
        repetitions=1,
        warmup=0,
    )
    return profile_job(
        board,
        spec,
        model.path,
        model,
        Reference(model),
        epoch=epoch,
        progress=lambda **_: None,
        should_stop=lambda: False,
        host=info.host,
        device_id=info.device_id,
    )


def known_model(quantization: Quantization) -> ModelFile:
    """Return the model of a known answer, with its numbers in one type."""
    # Made anew each time: the file may have gone with a cache that was emptied.
    folder = load_settings().cache_dir / "models"
    name = _MODEL_OF_256 if quantization is Quantization.TQ2_0 else _MODEL
    return quantized(catalogue.resolve(name), quantization, folder)


def _would_replace_flash(board: SelfTestBoard, model: ModelFile) -> bool:
    """Whether the test would write real flash over a job's model.

    A board that is not suspect is spared that: it avoids wearing flash and evicting a job's model.
    """
    hello = board.hello
    return (
        not hello.emulated
        and hello.flash_model_sha256 not in {None, model.sha256}
        and board.needs_flash(model.path.stat().st_size)
    )
