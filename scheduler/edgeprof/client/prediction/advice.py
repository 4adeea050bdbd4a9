"""What another choice would give: weight types, cache, another memory, a shorter context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edgeprof.client.prediction.costs import Costs
from edgeprof.client.prediction.predict import Predicted, predict
from edgeprof.client.prediction.terms import MATRIX, layer_kinds
from edgeprof.shared.models.operators import weights_bytes
from edgeprof.shared.models.tensor_types import BLOCK, head_beside
from edgeprof.shared.types.model import KvType, Quantization
from edgeprof.shared.types.profile import ModelDimensions

#: Less than this is not worth a sentence.
WORTH: Final = 0.02


@dataclass(frozen=True, slots=True)
class Asked:
    """A job that was run: what was computed, and what may be changed of it."""

    dimensions: ModelDimensions
    n_prompt: int
    n_gen: int
    #: The type that was asked for embedding and head alone.
    head: str | None = None
    #: Types that the weights have had: one that a model was not trained for may ruin it.
    trained_as: Sequence[str] = ()
    #: What is left of the weights' memory; None where that is not known.
    spare_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """Another way to run the model, and how fast it would be: predicted, not measured."""

    #: "Q4_0 weights instead of Q8_0".
    what: str
    #: Options of `edgeprof submit` that try it; empty where there are none.
    options: Mapping[str, str]
    predicted: Predicted
    #: Decode speed against that predicted for the job as it is; above 1 is faster.
    decode_ratio: float
    #: Whether its layers have a type without a profile, whose cost is scaled by its ceiling.
    of_new_type: bool = False

    @property
    def option(self) -> str | None:
        """The options in one line."""
        return " ".join(f"{name} {value}" for name, value in self.options.items()) or None


@dataclass(frozen=True, slots=True)
class _Other:
    what: str
    options: Mapping[str, str]
    dimensions: ModelDimensions
    n_prompt: int


def choices(costs: Costs, asked: Asked) -> list[Choice]:
    """Return the choices that would be worth it, the fastest first; doing less comes last."""
    now = predict(costs, asked.dimensions, asked.n_prompt, asked.n_gen)
    if now is None or now.decode_tokens_per_second is None:
        return []
    found = []
    profiled = {key.kind for key in costs.by_key if key.family == MATRIX}
    for other in _others(costs, asked):
        then = predict(costs, other.dimensions, other.n_prompt, asked.n_gen)
        if then is None or then.decode_tokens_per_second is None:
            continue
        ratio = then.decode_tokens_per_second / now.decode_tokens_per_second
        if ratio > 1 + WORTH and _has_room(asked, other.dimensions):
            new = not layer_kinds(other.dimensions) <= profiled
            found.append(Choice(other.what, other.options, then, ratio, new))
    return sorted(found, key=lambda choice: ("-p" in choice.options, -choice.decode_ratio))


def _has_room(asked: Asked, then: ModelDimensions) -> bool:
    more_bytes = weights_bytes(then) - weights_bytes(asked.dimensions)
    return asked.spare_bytes is None or more_bytes <= asked.spare_bytes


def _others(costs: Costs, asked: Asked) -> Iterator[_Other]:
    d, n_prompt = asked.dimensions, asked.n_prompt
    yield from _weight_types(asked)
    yield from _head_types(asked)
    for kv_type in KvType:
        # What no profile has is not known, and then nothing comes of it.
        if kv_type != d.kv_type:
            what = f"a KV cache of {kv_type} instead of {d.kv_type}"
            other = d.model_copy(update={"kv_type": str(kv_type)})
            yield _Other(what, {"--kv-type": kv_type}, other, n_prompt)
    for region in sorted({key.region for key in costs.by_key if key.region} - {d.weights_region}):
        # Only where a profile has had weights there: what memory costs is seen, not computed.
        there = d.model_copy(update={"weights_region": region})
        yield _Other(f"weights in {region} instead of {d.weights_region}", {}, there, n_prompt)
    if n_prompt > 1:
        half = n_prompt // 2
        yield _Other(f"a prompt of {half} tokens instead of {n_prompt}", {"-p": str(half)}, d, half)


def _weight_types(asked: Asked) -> Iterator[_Other]:
    """Yield the types that all layers could have; head and embedding are as `-q` makes them."""
    d = asked.dimensions
    kinds = layer_kinds(d)
    if len(kinds) != 1:
        return
    (now,) = kinds
    for kind in Quantization:
        if kind == now or any(size % BLOCK[kind] for size in (d.dim, d.hidden)):
            continue
        if kind is Quantization.TQ2_0 and kind not in asked.trained_as:
            continue  # a model is trained for it: quantising another one ruins it
        head = asked.head or str(head_beside(kind))
        other = d.model_copy(
            update={
                "layer_types": ((str(kind),) * len(d.layer_types[0]),),
                "embedding_type": head,
                "head_type": head,
            }
        )
        yield _Other(f"{kind} weights instead of {now}", {"-q": kind}, other, asked.n_prompt)


def _head_types(asked: Asked) -> Iterator[_Other]:
    """Yield the types that embedding and head alone could have."""
    d = asked.dimensions
    for kind in (Quantization.Q8_0, Quantization.Q4_0):
        if kind != d.head_type and d.dim % BLOCK[kind] == 0:
            other = d.model_copy(update={"embedding_type": str(kind), "head_type": str(kind)})
            what = f"an output head of {kind} instead of {d.head_type}"
            yield _Other(what, {"--head": kind}, other, asked.n_prompt)
