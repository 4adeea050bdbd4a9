"""Where a model ended its text: the benchmark goes on, the text does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeprof.cli.render.report import shown_text
from edgeprof.shared.models import ModelFile
from edgeprof.shared.models.special_tokens import ended_at
from edgeprof.shared.models.tokenizer import tokenizer_of
from edgeprof.shared.reference import Reference
from edgeprof.shared.types.case import TestCase
from edgeprof.shared.types.model import KvType
from tests.records.conftest import PROMPT, with_token

CASE = TestCase(prompt_tokens=PROMPT, n_gen=12)


@pytest.mark.parametrize("at", [0, 5])
def test_text_ends_where_the_model_ended_it(
    session: Callable[..., Any], model: ModelFile, tmp_path: Path, at: int
) -> None:
    """All tokens are measured and kept; the text stops before the first that ends it, with a
    mark."""
    tokens = Reference(model).greedy(PROMPT, 12, 64, KvType.F16)
    at = tokens.index(tokens[at])
    ending = with_token(model, "eos_token_id", tokens[at], tmp_path / "ending.gguf")

    result, _ = session(CASE, of=ending, repetitions=1)

    (case,) = result.cases
    assert case.tokens == tuple(tokens)
    assert case.ended_at_token == at
    assert case.text == tokenizer_of(model).decode(tokens[:at])
    assert shown_text(case) == f"{case.text}⟨end of text after {at} tokens⟩"


def test_a_text_that_did_not_end_has_no_mark(session: Callable[..., Any]) -> None:
    """The model that ships has an EOS, and does not write it here."""
    result, _ = session(CASE, repetitions=1)

    (case,) = result.cases
    assert case.ended_at_token is None
    assert shown_text(case) == case.text


def test_a_token_beyond_the_vocabulary_ends_nothing(model: ModelFile, tmp_path: Path) -> None:
    """An end token beyond the vocabulary, such as the -1 of some converters, ends no text."""
    none = with_token(model, "eos_token_id", 0xFFFFFFFF, tmp_path / "none.gguf")

    assert ended_at(none, [0, 1, 2]) is None
    assert ended_at(model, [5, 2, 2]) == 1
