"""A sweep as a file: what it varies, what it leaves out, and how each job is measured.

    model = ["shakespeare-240k", "mine.gguf"]
    quantization = ["F32", "Q8_0", "Q4_0"]
    platform = ["stm32f405", "esp32s3"]
    n_prompt = [16, 64]

    [[exclude]]
    model = "mine.gguf"
    platform = "stm32*"

The keys are the names of JobOptions. A mistake is told with its line.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from edgeprof.client.grid import AXES, Grid
from edgeprof.client.request import DEFAULT_SCORED_TOKENS, Request
from edgeprof.client.rules import Rule, chosen
from edgeprof.client.toml_lines import line_of
from edgeprof.shared.errors import UsageError
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.spelling import suggestion
from edgeprof.shared.types.case import MAX_SCORED_TOKENS
from edgeprof.shared.types.job import LONGEST_WAIT_S, MOST_ATTEMPTS
from edgeprof.shared.types.model import KvType, Quantization
from edgeprof.shared.types.tags import Tags
from edgeprof.shared.validation import first_error

T = TypeVar("T")


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _upper(value: Any) -> Any:
    return [each.upper() if isinstance(each, str) else each for each in _listed(value)]


#: `key = "x"` means the same as `key = ["x"]`.
_OneOrMore = Annotated[tuple[T, ...], BeforeValidator(_listed), Field(min_length=1)]
_Count = Annotated[int, Field(ge=1, strict=True)]
_Text = Annotated[str, Field(strict=True)]

#: What people call a key elsewhere.
_ALSO_CALLED: Final = {
    "type": "quantization",
    "types": "quantization",
    "context": "n_ctx",
    "contexts": "n_ctx",
    "prompt_tokens": "n_prompt",
    "cache_type": "kv_type",
    "cache_types": "kv_type",
    "generate": "n_gen",
    "attempts": "max_attempts",
    "retries": "max_attempts",
    "check": "check_output",
}


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _File(_Table):
    """The keys of a file. Those without a value here are as in Request."""

    model: _OneOrMore[_Text]
    quantization: Annotated[tuple[Quantization, ...], BeforeValidator(_upper)] = ()
    head: Annotated[tuple[Quantization, ...], BeforeValidator(_upper)] = ()
    platform: _OneOrMore[_Text] = ()
    board: _OneOrMore[_Text] = ()
    require: Tags = Field(default_factory=dict)
    prompt: _OneOrMore[_Text] = ()
    n_prompt: _OneOrMore[_Count] = ()
    n_gen: _OneOrMore[Annotated[int, Field(ge=0, strict=True)]] = ()
    n_ctx: _OneOrMore[_Count] = ()
    kv_type: Annotated[tuple[KvType, ...], BeforeValidator(_upper)] = ()

    repetitions: _Count = 3
    warmup: Annotated[int, Field(ge=0, strict=True)] = 1
    priority: Annotated[int, Field(ge=0, le=9, strict=True)] = 5
    timeout_s: Annotated[float, Field(gt=0)] | None = None
    queue_timeout_s: Annotated[float, Field(gt=0, le=LONGEST_WAIT_S)] = 86400.0
    max_attempts: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS, strict=True)] = 3
    check_output: Annotated[bool, Field(strict=True)] = True
    wait_for_board: Annotated[bool, Field(strict=True)] = False
    profile: Annotated[bool, Field(strict=True)] = False
    #: Unlike for a single job: without perplexity a sweep has no answer.
    score: Annotated[bool, Field(strict=True)] = True
    corpus: _Text | None = None
    score_tokens: Annotated[int, Field(ge=1, le=MAX_SCORED_TOKENS, strict=True)] = (
        DEFAULT_SCORED_TOKENS
    )
    score_stride: _Count | None = None
    tags: Tags = Field(default_factory=dict)
    include: tuple[dict[str, Any], ...] = ()
    exclude: tuple[dict[str, Any], ...] = ()


class SweepFile:
    """A sweep's file, read and checked. Raises UsageError that names the line."""

    def __init__(
        self, path: Path, text: str, keys: _File, kept: Mapping[str, Path] | None = None
    ) -> None:
        self.path = path
        self.text = text
        self.keys = keys
        #: Name in the file -> where its content is, if not at that name (any more).
        self._kept = kept or {}

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file."""
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{path}: cannot read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is not TOML: {error}") from None
        return cls.parse(path, text)

    @classmethod
    def parse(cls, path: Path, text: str, kept: Mapping[str, Path] | None = None) -> Self:
        """Read a file's text. kept: where the files are that it names, by their names in it."""
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{path} is not TOML: {error}") from None
        try:
            keys = _File.model_validate(data)
        except ValidationError as error:
            raise _explained(path, text, data, error) from None
        if not keys.platform and not keys.board:
            raise UsageError(
                f"{path}: no key 'platform' and no key 'board'",
                hint='e.g. platform = ["native"]; `edgeprof boards` lists them',
            )
        return cls(path, text, keys, kept)

    @property
    def corpus(self) -> Path | None:
        """The text to score over; None: the one that ships."""
        named = self.keys.corpus
        return None if named is None else self._kept.get(named) or self._beside(named)

    def requests(self) -> list[Request]:
        """Return the combinations that the rules leave, none of which measures quality."""
        keys = self.keys
        grid = Grid(
            **{name: getattr(keys, name) for name in AXES} | {"model": [*self.models().values()]}
        )
        left = chosen(grid.requests(self._base()), self._rules("include"), self._rules("exclude"))
        kept = {
            model: self._kept[named]
            for named, model in self.models().items()
            if named in self._kept
        }
        return [replace(each, model=kept.get(each.model, each.model)) for each in left]

    def scored(self, request: Request) -> Request:
        """Return the request that measures the quality of this one's model, and hardly its speed.

        It is a job of its own: a text to score over takes memory that the measured one does not.
        """
        keys = self.keys
        return self._base(
            profile=False,
            model=request.model,
            quantization=request.quantization,
            head=request.head,
            platform=request.platform,
            board=request.board,
            n_ctx=request.n_ctx,
            kv_type=request.kv_type,
            n_prompt=1,
            n_gen=0,
            repetitions=1,
            warmup=0,
            score=True,
            corpus=self.corpus,
            score_tokens=keys.score_tokens,
            score_stride=keys.score_stride,
        )

    def check(self, check: Callable[[str, Any], object]) -> None:
        """Call check(key, value) for each value that is a name; its UsageError gets the line."""
        named = [("model", name) for name in self.models().values()]
        named += [("platform", name) for name in self.keys.platform]
        named += [("board", name) for name in self.keys.board]
        named += [] if self.corpus is None else [("corpus", self.corpus)]
        for key, value in named:
            try:
                check(key, value)
            except UsageError as error:
                raise self._error((key,), value, str(error), error.hint) from None

    def _base(self, **fields: Any) -> Request:
        keys = self.keys
        common: dict[str, Any] = {
            "model": "",
            "repetitions": keys.repetitions,
            "warmup": keys.warmup,
            "priority": keys.priority,
            "timeout_s": keys.timeout_s,
            "queue_timeout_s": keys.queue_timeout_s,
            "max_attempts": keys.max_attempts,
            "check_output": keys.check_output,
            "wait_for_board": keys.wait_for_board,
            "profile": keys.profile,
            "require": keys.require,
            "tags": keys.tags,
            "source": "edgeprof sweep",
        }
        return Request(**common | fields)

    def models(self) -> dict[str, str | Path]:
        """Return the models by their names in the file: a name of the catalogue, or a path."""
        return {
            name: self._beside(name) if "/" in name or name.endswith((".gguf", ".bin")) else name
            for name in self.keys.model
        }

    def _beside(self, name: str) -> Path:
        """Return the path of a file that is named relative to the sweep's own."""
        return self.path.parent / Path(name).expanduser()

    def _rules(self, kind: str) -> list[Rule]:
        rules = []
        for number, values in enumerate(getattr(self.keys, kind)):
            for key in values:
                if key not in AXES:
                    said = f"unknown key {key!r}{_suggested(key, AXES)}"
                    raise self._error((kind, number, key), None, said, _known(AXES))

            def error(said: str, hint: str, at: int = number) -> UsageError:
                return self._error((kind, at), None, f"{kind}: {said}", hint)

            rules.append(Rule(values, error))
        return rules

    def _error(
        self, path: tuple[int | str, ...], value: object, said: str, hint: str | None
    ) -> UsageError:
        return UsageError(f"{_place(self.path, self.text, path, value)}: {said}", hint=hint)


def _explained(
    path: Path, text: str, data: Mapping[str, Any], error: ValidationError
) -> UsageError:
    first = first_error(error)
    key = str(first.path[0])
    if first.kind == "missing":
        return UsageError(
            f"{path}: no key {key!r}", hint='e.g. model = ["shakespeare-240k"] as its first line'
        )
    if first.kind == "extra_forbidden":
        said = f"unknown key {key!r}{_suggested(key, _File.model_fields)}"
        return UsageError(
            f"{_place(path, text, first.path, None)}: {said}", hint=_known(_File.model_fields)
        )
    value: Any = data
    for part in first.path:
        if isinstance(value, dict | list) and not isinstance(value, dict) ^ isinstance(part, str):
            value = value[part]  # type: ignore[index]  # else it stands for a list of one
    named = [part for part in first.path if isinstance(part, str)]
    message = first.message[:1].lower() + first.message[1:]
    shown = one_line(repr(value), 80)
    known: Any = {"quantization": Quantization, "head": Quantization, "kv_type": KvType}.get(
        key, ()
    )
    near = suggestion(str(value).upper(), map(str, known))
    return UsageError(
        f"{_place(path, text, named, value)}: {named[-1]} is {shown}: {message}{near}"
    )


def _place(path: Path, text: str, where: Sequence[int | str], value: object) -> str:
    line = line_of(text, where, value)
    return str(path) if line is None else f"{path}, line {line}"


def _suggested(key: str, known: Any) -> str:
    also = _ALSO_CALLED.get(key)
    return f", did you mean {also!r}?" if also in known else suggestion(key, known)


def _known(names: Any) -> str:
    return f"known keys: {', '.join(names)}"
