"""Commands that an explanation proposes, whole, so that they can be copied."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Final

from edgeprof.client.prediction.advice import Choice
from edgeprof.client.request import Request
from edgeprof.shared.models import catalogue
from edgeprof.shared.models.quantize import head_in
from edgeprof.shared.types.model import KvType
from edgeprof.shared.types.result import CaseResult, JobResult, JobView

_USUAL: Final = Request(model="")


def trying(view: JobView, result: JobResult, case: CaseResult, choice: Choice) -> str | None:
    """Return the command that runs a job with one thing changed; None where no option does that.

    With other weights it measures their quality as well: speed is half of the answer.
    """
    if not choice.options:
        return None
    score = " --score" if {"-q", "--head"} & choice.options.keys() else ""
    return _command({**_options(view, result, case), **choice.options}) + score


def profiling(view: JobView, result: JobResult) -> str:
    """Return the command that runs the same once more, with a profile."""
    return _command(_options(view, result, result.cases[0])) + " --profile"


def _options(view: JobView, result: JobResult, case: CaseResult) -> dict[str, str]:
    name, head = head_in(view.model.name)
    options = {"-m": _model(view, name), "-q": str(view.model.quantization)}
    if head is not None:
        options["--head"] = head
    options |= _where(view, result)
    options |= {
        option: str(value)
        for option, value, usual in (
            ("-p", case.n_prompt, _USUAL.n_prompt),
            ("-n", case.n_gen, _USUAL.n_gen),
            ("--kv-type", result.load.kv_type, KvType.F16),
        )
        if value != usual
    }
    return options


def profiling_another(view: JobView, result: JobResult) -> str | None:
    """Return the command that profiles another bundled model on the same boards."""
    base = head_in(view.model.name)[0]
    other = next((name for name in sorted(catalogue.bundled()) if name != base), None)
    if other is None:
        return None
    options = {"-m": other, "-q": str(view.model.quantization)} | _where(view, result)
    return _command(options) + " --profile"


def _where(view: JobView, result: JobResult) -> dict[str, str]:
    on_board = view.target == result.identity.device_id
    return {"--board" if on_board else "--platform": view.target}


def _model(view: JobView, name: str) -> str:
    """Return what -m takes: a bundled model's name, else the file that the weights come from."""
    if name in catalogue.bundled() or view.model.source is None:
        return name
    return view.model.source.file


def _command(options: Mapping[str, str]) -> str:
    words = (word for option in options.items() for word in option)
    return f"edgeprof submit {shlex.join(words)}"
