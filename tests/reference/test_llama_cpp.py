"""llama.cpp judges the reference, and with it every board: they compute the same network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeprof.shared.models import ModelFile, quantized
from edgeprof.shared.models.catalogue import resolve
from edgeprof.shared.models.tokenizer import tokenizer_of
from edgeprof.shared.reference import Reference
from edgeprof.shared.types.model import KvType, Quantization
from tests.support.llama_cpp import llama_cpp

pytest.importorskip("xllamacpp", reason="no wheel of xllamacpp for this machine")

MODELS = ("shakespeare-240k", "shakespeare-1m")
PROMPTS = ("ROMEO:\n", "First Citizen:\nBefore we proceed", "What is the")
N_GEN = 64
#: How far the mean log-likelihoods may be apart, in nats: inputs of integer products are rounded
#: in another way (docs/arithmetic.md, section 8).
NATS = 0.01
#: Of each shipped model, the types it can have.
TYPES = [
    *((MODELS[0], q) for q in Quantization if q is not Quantization.TQ2_0),
    *((MODELS[1], q) for q in Quantization),
]


def _tokens(model: ModelFile, text: str) -> list[int]:
    return [int(token) for token in tokenizer_of(model).encode(text)]


@pytest.mark.parametrize("name", MODELS)
def test_greedy_tokens_of_f32_equal_llama_cpps(name: str, tmp_path: Path) -> None:
    """With weights in F32 both choose the same tokens after each prompt."""
    model = quantized(resolve(name), Quantization.F32, tmp_path)
    with llama_cpp(model.path, 128, model.shape.n_vocab) as judge:
        for text in PROMPTS:
            prompt = _tokens(model, text)

            ours = Reference(model).greedy(prompt, N_GEN, 128, KvType.F16)

            assert ours == list(judge.greedy(prompt, N_GEN))


@pytest.mark.parametrize(("name", "quantization"), TYPES)
def test_perplexity_is_llama_cpps(name: str, quantization: Quantization, tmp_path: Path) -> None:
    """In every type, the mean log-likelihood of a text is llama.cpp's within a hundredth of a
    nat."""
    model = quantized(resolve(name), quantization, tmp_path)
    text = Reference(model).greedy(_tokens(model, PROMPTS[0]), 120, 128, KvType.F16)

    ours = np.mean(Reference(model).score(text, KvType.F16)[0])
    with llama_cpp(model.path, 128, model.shape.n_vocab) as judge:
        theirs = np.mean(judge.scores(text))

    assert abs(ours - theirs) < NATS
