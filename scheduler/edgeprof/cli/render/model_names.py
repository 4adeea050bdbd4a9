"""What tables call a model: its name, and a bit of its hash where two models would be taken for one.

Two files of one name in two folders, or one file that was trained on between two jobs, have the same name and the
same type. Their rows must not read as repetitions of one measurement.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

#: Of the SHA-256, as Git shows commits.
_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class Named:
    """A model as a row of a table has it: `made_as` is its type, with the lossy ones before it."""

    name: str
    made_as: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelNames:
    """Names of the models of one table."""

    #: Names and types that more than one content has.
    _shared: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, models: Iterable[Named]) -> Self:
        """Find out which models of a table would be taken for another."""
        contents: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for model in models:
            contents[model.name, model.made_as].add(model.sha256)
        return cls(frozenset(key for key, found in contents.items() if len(found) > 1))

    def name(self, model: Named) -> str:
        """Return "stories260K", or "stories260K@1a2b3c4d" where another content has that name and type."""
        if (model.name, model.made_as) not in self._shared:
            return model.name
        return f"{model.name}@{model.sha256[:_SHOWN]}"
