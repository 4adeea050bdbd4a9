"""The combinations of a sweep: values of the options that it varies, and a request for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from edgeprof.client.request import Request
from edgeprof.shared.types.model import KvType, Quantization


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The values of each option; an option without values is as the base request has it.

    The names are those of JobOptions. Each model is run on every platform and every board, and
    with every prompt: the texts, and so many tokens of the standard text.
    """

    model: Sequence[str | Path]
    quantization: Sequence[Quantization | str | None] = ()
    head: Sequence[Quantization | str | None] = ()
    platform: Sequence[str] = ()
    board: Sequence[str] = ()
    prompt: Sequence[str] = ()
    n_prompt: Sequence[int] = ()
    n_gen: Sequence[int] = ()
    n_ctx: Sequence[int | None] = ()
    kv_type: Sequence[KvType | str] = ()

    def requests(self, base: Request) -> list[Request]:
        """Return every combination once, in the order of the fields."""
        targets = [*_each("platform", self.platform), *_each("board", self.board)]
        prompts = [*_each("prompt", self.prompt), *_each("n_prompt", self.n_prompt)]
        axes = [
            list(_each("model", self.model)),
            list(_each("quantization", self.quantization)),
            list(_each("head", self.head)),
            targets,
            prompts,
            list(_each("n_gen", self.n_gen)),
            list(_each("n_ctx", self.n_ctx)),
            list(_each("kv_type", self.kv_type)),
        ]
        return [
            dataclasses.replace(base, **{name: value for part in parts for name, value in part})
            for parts in product(*(axis or [()] for axis in axes))
        ]


def _each(name: str, values: Sequence[Any]) -> Iterator[tuple[tuple[str, Any], ...]]:
    """Yield (name, value) for each value, without repetitions."""
    for value in dict.fromkeys(values):
        yield ((name, value),)


#: Options that a sweep can vary.
AXES = tuple(field.name for field in dataclasses.fields(Grid))
