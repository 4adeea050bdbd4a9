"""Names models in tables, with a part of the hash where two models share name and type.

Two files of one name in two folders share both, and so does a file that was trained on between two
jobs. Their rows must not look like repetitions of one measurement.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

#: Digits of the SHA-256 that are shown.
_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class Named:
    """A model of a table. `made_as` is its type, after the lossy types it was made from."""

    name: str
    made_as: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelNames:
    """Names of the models of one table."""

    #: Pairs of name and type that more than one content has.
    _shared: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, models: Iterable[Named]) -> Self:
        """Find the models of a table that share name and type with another."""
        contents: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for model in models:
            contents[model.name, model.made_as].add(model.sha256)
        return cls(frozenset(key for key, found in contents.items() if len(found) > 1))

    def name(self, model: Named) -> str:
        """Return "stories260K", or "stories260K@1a2b3c4d" where two contents share both."""
        if (model.name, model.made_as) not in self._shared:
            return model.name
        return f"{model.name}@{model.sha256[:_SHOWN]}"
