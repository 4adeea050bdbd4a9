"""Rules of a sweep: which combinations are left in, and which are left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from edgeprof.client.request import Request
from edgeprof.shared.errors import UsageError


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: for each key a value, or a list of which one must match. Texts may have * and ?."""

    values: Mapping[str, Any]
    #: Makes the error, with the rule's line, of what is wrong and a hint.
    error: Callable[[str, str], UsageError]

    def matches(self, request: Request) -> bool:
        """Whether all of its keys match."""
        return all(
            any(_equal(_value(request, key), wanted) for wanted in _listed(value))
            for key, value in self.values.items()
        )


def chosen(
    requests: Sequence[Request], include: Sequence[Rule], exclude: Sequence[Rule]
) -> list[Request]:
    """Return what some include rule matches, if there are any, and no exclude rule does.

    A rule that matches nothing is taken for a typo: it raises UsageError.
    """
    for rule in (*include, *exclude):
        if not rule.values or not any(map(rule.matches, requests)):
            raise rule.error(
                "this rule matches no combination",
                "its values are compared with those of the lists above; * matches any text",
            )
    left = [
        request
        for request in requests
        if (not include or any(rule.matches(request) for rule in include))
        and not any(rule.matches(request) for rule in exclude)
    ]
    if not left:
        raise (*exclude, *include)[0].error("the rules leave no combination", "drop a rule")
    return left


def _value(request: Request, key: str) -> object:
    """Return a request's value of a key; a text has no count of standard tokens."""
    if key == "n_prompt" and request.prompt is not None:
        return None
    return getattr(request, key)


def _equal(value: object, wanted: object) -> bool:
    if value is None or isinstance(wanted, int):
        return value == wanted
    if isinstance(value, Path):
        return value.match(str(wanted))  # from its end: "mine.gguf" is enough
    return fnmatchcase(str(value).upper(), str(wanted).upper())


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
