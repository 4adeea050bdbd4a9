"""Which model a job runs: its file by content, its weight type, and what it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field

from edgeprof.shared.types.wire import (
    MAX_CONTEXT,
    MAX_FILE_BYTES,
    MAX_VOCABULARY,
    Name,
    NoControl,
    Sha256,
    WireModel,
)


class Quantization(StrEnum):
    """Weight types with a kernel on the board; the names are ggml's."""

    F32 = "F32"
    F16 = "F16"
    Q8_0 = "Q8_0"
    Q4_0 = "Q4_0"
    TQ2_0 = "TQ2_0"


class KvType(StrEnum):
    """Element type of the KV cache."""

    F32 = "F32"
    F16 = "F16"


#: As ggml calls a type of weights; a source may have one that no board has a kernel for.
WeightType = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,16}$")]
#: Types that count as unquantized. A conversion through one of them costs no precision.
_UNQUANTIZED = frozenset({"F64", "F32", "BF16", "F16"})
_MAX_CHAIN = 8


class ModelSource(WireModel):
    """The file that a model's weights come from, and each type they had since."""

    file: Annotated[NoControl, Field(min_length=1, max_length=255)]
    sha256: Sha256
    #: From the source's own type to the one that is run: ("F32", "Q8_0").
    chain: Annotated[tuple[WeightType, ...], Field(min_length=1, max_length=_MAX_CHAIN)]

    def converted(self, to: str) -> Self:
        """Return the source of a model made of this one; of a long chain both ends stay."""
        first, *rest = self.chain
        return self.model_copy(update={"chain": (first, *rest[-(_MAX_CHAIN - 2) :], to)})


def made_as(quantization: str, chain: Sequence[str]) -> str:
    """Return the type's name, after the earlier types in `chain` that cost precision."""
    lossy = [step for step in chain[:-1] if step not in {*_UNQUANTIZED, quantization}]
    return ">".join([*lossy, quantization])


class ModelRef(WireModel):
    """Which model: by content, so that a name can never point at other weights."""

    name: Name
    sha256: Sha256
    size_bytes: Annotated[int, Field(gt=0, le=MAX_FILE_BYTES)]
    quantization: Quantization
    architecture: Literal["llama"] = "llama"
    n_params: Annotated[int, Field(gt=0, le=2**40)]
    n_ctx_train: Annotated[int, Field(gt=0, le=MAX_CONTEXT)]
    n_vocab: Annotated[int, Field(gt=0, le=MAX_VOCABULARY)]
    #: Where the bytes are. None, the only value, means the blob store in Redis: a URL from a job is
    #: never fetched.
    url: None = None
    #: None in records of versions that did not write it.
    source: ModelSource | None = None

    @property
    def made_as(self) -> str:
        """The type as tables show it: "Q8_0", or "Q4_0>Q8_0" after a step that cost precision."""
        return made_as(self.quantization, self.source.chain if self.source else ())
