"""tokenizer.json of a Hugging Face folder becomes the model's tokenizer, or is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models.tokenizer import tokenizer_of
from tests.models.imported_folder import imported
from tests.support import model_folders as folders
from tests.support.model_folders import (
    BOS,
    EOS,
    SEP,
    VOCAB,
    write_folder,
)

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def test_byte_level_tokenizer_comes_along(tmp_path: Path, work: Path) -> None:
    """Merges, special and added tokens of tokenizer.json work in the GGUF, BOS where it says so."""
    post = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
    }
    folder = write_folder(tmp_path / "hf", tokenizer=folders.TOKENIZER | {"post_processor": post})
    model = imported(folder, work).model
    tokenizer = tokenizer_of(model)

    hello, the = folders.PIECES.index("hello"), folders.PIECES.index("\u0120the")
    assert tokenizer.encode("hello the<sep>hello</s>")[:5] == [BOS, hello, the, SEP, hello]
    assert EOS not in tokenizer.encode("</s>")
    assert tokenizer.decode(tokenizer.encode("hé\n<sep>ü")) == "hé\n<sep>ü"
    assert (model.meta("tokenizer.ggml.pre"), model.meta("tokenizer.ggml.eos_token_id")) == (
        "gpt-2",
        EOS,
    )
    plain = tokenizer_of(imported(write_folder(tmp_path / "hf"), work).model)
    assert plain.encode("hello") == [hello]


@pytest.mark.parametrize(
    ("before", "use_regex", "name"),
    [
        ([{"type": "Digits", "individual_digits": True}], True, "smollm"),
        (
            [{"type": "Split", "pattern": {"Regex": LLAMA3}, "behavior": "Isolated"}],
            False,
            "llama-bpe",
        ),
        ([{"type": "Digits", "individual_digits": False}], True, None),
        (
            [{"type": "Split", "pattern": {"Regex": r"\p{Han}+"}, "behavior": "Isolated"}],
            False,
            None,
        ),
        ([{"type": "Whitespace"}], True, None),
    ],
)
def test_pre_tokenizers_are_known_by_what_they_do(
    tmp_path: Path, work: Path, before: list[dict[str, Any]], use_regex: bool, name: str | None
) -> None:
    """The split is recognised from its parts; an unknown one is refused, with its parts."""
    last = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": use_regex}
    pre = {"type": "Sequence", "pretokenizers": [*before, last]}
    folder = write_folder(tmp_path / "hf", tokenizer=folders.TOKENIZER | {"pre_tokenizer": pre})
    if name is None:
        with pytest.raises(ModelError, match=f"{before[0]['type']}"):
            imported(folder, work)
    else:
        assert imported(folder, work).model.meta("tokenizer.ggml.pre") == name


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"type": "Unigram", "vocab": [["a", 0.0]]}},
        {"model": {"type": "WordPiece", "vocab": {}}},
        {"normalizer": {"type": "Lowercase"}},
        {"pre_tokenizer": None},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}},
        {"model": {"type": "BPE", "vocab": {"a": 0}}},
        {"model": None},
        {"added_tokens": [{"id": "x"}]},
    ],
)
def test_other_tokenizers_are_refused(tmp_path: Path, work: Path, change: dict[str, Any]) -> None:
    """A tokenizer that would split text otherwise than in training is a ModelError naming the
    file."""
    folder = write_folder(tmp_path / "hf", tokenizer=folders.TOKENIZER | change)
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        imported(folder, work)


def test_tokenizer_is_held_to_the_vocabulary(tmp_path: Path, work: Path) -> None:
    """A tokenizer with more tokens than the model is refused with both numbers; fewer leave unused
    ids."""
    vocab = {p: i for i, p in enumerate(folders.PIECES)} | {"extra": VOCAB}
    more = folders.TOKENIZER | {"model": folders.TOKENIZER["model"] | {"vocab": vocab}}
    with pytest.raises(ModelError, match=f"{VOCAB + 1} tokens, the model only {VOCAB}"):
        imported(write_folder(tmp_path / "hf", tokenizer=more), work)

    fewer = folders.TOKENIZER | {"added_tokens": folders.TOKENIZER["added_tokens"][:2]}
    made = imported(write_folder(tmp_path / "hf", tokenizer=fewer), work)
    assert f"{VOCAB - 1} tokens, the model {VOCAB}" in made.notes[0]
    assert tokenizer_of(made.model).decode([SEP]) == ""


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path, work: Path) -> None:
    """A vocabulary is padded to whole blocks, not by the half; and what ends a text is one of its
    tokens."""
    folder = write_folder(tmp_path / "half", vocab_size=2 * VOCAB)
    with pytest.raises(
        ModelError, match=rf"{VOCAB} tokens, the model {2 * VOCAB}: it is another's"
    ):
        imported(folder, work)

    folder = write_folder(tmp_path / "end", vocab_size=VOCAB + 64, eos_token_id=VOCAB + 7)
    with pytest.raises(ModelError, match=rf"the model's eos is token {VOCAB + 7}"):
        imported(folder, work)
