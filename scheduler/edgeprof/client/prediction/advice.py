"""What another choice would give: weight types, cache, another memory, a shorter context."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from edgeprof.client.prediction.costs import Costs
from edgeprof.client.prediction.predict import Predicted, predict
from edgeprof.shared.models.tensor_types import BLOCK
from edgeprof.shared.types.model import KvType, Quantization
from edgeprof.shared.types.profile import ModelDimensions

#: Less than this is not worth a sentence.
WORTH: Final = 0.02


@dataclass(frozen=True, slots=True)
class Choice:
    """Another way to run the model, and how fast it would be: predicted, not measured."""

    #: "Q4_0 weights instead of Q8_0".
    what: str
    #: Options of `edgeprof submit` that try it, where there are such.
    option: str | None
    predicted: Predicted
    #: Decode speed against that predicted for the job as it is; above 1 is faster.
    decode_ratio: float


def choices(costs: Costs, dimensions: ModelDimensions, n_prompt: int, n_gen: int) -> list[Choice]:
    """Return the choices that would be worth it, the fastest first."""
    now = predict(costs, dimensions, n_prompt, n_gen)
    if now is None or now.decode_tokens_per_second is None:
        return []
    found = []
    for what, option, other, prompt in _others(costs, dimensions, n_prompt):
        then = predict(costs, other, prompt, n_gen)
        if then is None or then.decode_tokens_per_second is None:
            continue
        ratio = then.decode_tokens_per_second / now.decode_tokens_per_second
        if ratio > 1 + WORTH:
            found.append(Choice(what, option, then, ratio))
    return sorted(found, key=lambda choice: -choice.decode_ratio)


def _others(
    costs: Costs, d: ModelDimensions, n_prompt: int
) -> Iterator[tuple[str, str | None, ModelDimensions, int]]:
    yield from ((*choice, n_prompt) for choice in _weight_types(d))
    yield from ((*choice, n_prompt) for choice in _head_types(d))
    for kv_type in KvType:
        # What no profile has is not known, and then nothing comes of it.
        if kv_type != d.kv_type:
            other = d.model_copy(update={"kv_type": str(kv_type)})
            yield (
                f"a KV cache of {kv_type} instead of {d.kv_type}",
                f"--kv-type {kv_type}",
                other,
                n_prompt,
            )
    for region in sorted({key.region for key in costs.by_key if key.region} - {d.weights_region}):
        # Only where a profile has had weights there: what memory costs is seen, not computed.
        there = d.model_copy(update={"weights_region": region})
        yield f"weights in {region} instead of {d.weights_region}", None, there, n_prompt
    if n_prompt > 1:
        half = n_prompt // 2
        yield f"a prompt of {half} tokens instead of {n_prompt}", f"-p {half}", d, half


def _weight_types(d: ModelDimensions) -> Iterator[tuple[str, str | None, ModelDimensions]]:
    """Yield the types that all layers could have; head and embedding go along if they have it."""
    kinds = {kind for layer in d.layer_types for kind in layer}
    if len(kinds) != 1:
        return
    (now,) = kinds
    for kind in Quantization:
        block = BLOCK[kind]
        if kind == now or any(size % block for size in (d.dim, d.hidden)):
            continue
        if kind is Quantization.TQ2_0:
            continue  # a model is trained for it: quantising another one ruins it
        update: dict[str, object] = {"layer_types": ((str(kind),) * len(d.layer_types[0]),)}
        update |= {
            name: str(kind) for name in ("embedding_type", "head_type") if getattr(d, name) == now
        }
        yield f"{kind} weights instead of {now}", f"-q {kind}", d.model_copy(update=update)


def _head_types(d: ModelDimensions) -> Iterator[tuple[str, str | None, ModelDimensions]]:
    """Yield the types that the head alone could have."""
    for kind in (Quantization.Q8_0, Quantization.Q4_0):
        if kind != d.head_type and d.dim % BLOCK[kind] == 0:
            other = d.model_copy(update={"head_type": str(kind)})
            yield f"an output head of {kind} instead of {d.head_type}", None, other
