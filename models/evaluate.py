"""Measures the figures of models/README.md: held-out perplexity and a greedy sample of each type.

    python models/evaluate.py --corpus tinyshakespeare.txt --cache /tmp/types

The forward pass is `edgeprof.shared.reference`, which is the boards' arithmetic bit for bit
(integer kernels, F16 KV cache). So these are the perplexities of a board, not of a desktop library.
The text is the last tenth of the corpus, which training never saw, in windows of the full context
that do not overlap.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models import ModelFile, catalogue, quantized
from edgeprof.shared.models.tokenizer import Tokenizer, tokenizer_of
from edgeprof.shared.reference import Reference
from edgeprof.shared.types.model import KvType, Quantization

PROMPT = "ROMEO:\n"
N_GENERATED = 96


def held_out_windows(model: ModelFile, tokenizer: Tokenizer, corpus: str) -> list[list[int]]:
    """Split the last tenth of the text into windows of the model's full context."""
    tokens = tokenizer.encode(corpus[len(corpus) * 9 // 10 :])
    n = model.shape.n_ctx
    return [tokens[i : i + n] for i in range(0, len(tokens) - n + 1, n)]


def perplexity(model: ModelFile, windows: list[list[int]]) -> float:
    """Return exp of the mean negative log-likelihood of tokens 2 … n of each window."""
    reference = Reference(model)
    likelihoods = [value for window in windows for value in reference.score(window)[0]]
    return math.exp(-sum(likelihoods) / len(likelihoods))


def main() -> None:
    parser = argparse.ArgumentParser(description="Perplexity and a greedy sample of each type.")
    parser.add_argument("--corpus", type=Path, required=True, help="the text of train.py")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the other types")
    parser.add_argument("--every", type=int, default=1, help="only each Nth window (1: all)")
    parser.add_argument("--only", choices=catalogue.bundled(), help="one of the models")
    arguments = parser.parse_args()
    corpus = arguments.corpus.read_text(encoding="utf-8")
    for shipped in catalogue.list_models():
        if arguments.only not in {None, shipped.name}:
            continue
        tokenizer = tokenizer_of(shipped)
        windows = held_out_windows(shipped, tokenizer, corpus)[:: arguments.every]
        print(f"{shipped.name}: {len(windows)} windows of {shipped.shape.n_ctx}", flush=True)
        for to in Quantization:
            try:
                model = quantized(shipped, to, arguments.cache)
            except ModelError as error:
                print(f"{shipped.name} {to}: {error}", flush=True)
                continue
            value = perplexity(model, windows)
            print(f"{shipped.name} {to}: {model.size_bytes} B, perplexity {value:.3f}", flush=True)
            n_ctx = model.shape.n_ctx
            answer = Reference(model).greedy(
                tokenizer.encode(PROMPT), N_GENERATED, n_ctx, KvType.F16
            )
            print(f"{PROMPT}{tokenizer.decode(answer)}\n", flush=True)


if __name__ == "__main__":
    main()
