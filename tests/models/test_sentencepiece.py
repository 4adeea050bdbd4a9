"""SentencePiece tokenizers of a Hugging Face folder come along, or are refused."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models.importing import import_model
from edgeprof.shared.models.tokenizer import tokenizer_of
from tests.models.imported_folder import imported
from tests.support.model_folders import (
    BOS,
    write_folder,
)


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def message(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def sentencepiece(
    pieces: Sequence[tuple[str, float, int]], model_type: int = 2, **more: bytes
) -> bytes:
    """A SentencePiece model by its protocol buffer: pieces, trainer_spec, normalizer_spec."""
    data = b""
    for text, score, kind in pieces:
        data += message(
            1,
            message(1, text.encode()) + b"\x15" + struct.pack("<f", score) + b"\x18" + varint(kind),
        )
    keep_spaces = varint(4 << 3) + b"\0"
    return (
        data
        + message(2, b"\x18" + varint(model_type))
        + message(3, more.get("normalizer", keep_spaces))
    )


SPIECES = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
SPIECES += [(f"<0x{byte:02X}>", 0.0, 6) for byte in range(256)]
SPIECES += [("\u2581a", -1.0, 1), ("\u2581", -2.0, 1), ("a", -3.0, 1), ("b", -4.0, 1)]


def test_sentencepiece_model_comes_along(tmp_path: Path, work: Path) -> None:
    """tokenizer.model is taken before tokenizer.json; tokens added later come after its own."""
    folder = write_folder(tmp_path / "hf")
    (folder / "tokenizer.model").write_bytes(sentencepiece(SPIECES))
    added = {"264": {"content": "<sep>", "special": False}}
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}))

    made = imported(folder, work)
    tokenizer = tokenizer_of(made.model)

    assert tokenizer.encode("a b<sep>é")[:6] == [BOS, 259, 260, 262, 264, 260]
    assert tokenizer.decode([259, 262, 3 + 0xC3, 3 + 0xA9, 263]) == "abé"
    assert made.notes == ()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (sentencepiece(SPIECES, model_type=1), "not of type BPE"),
        (sentencepiece([]), "not a SentencePiece model"),
        (b"", "not a SentencePiece model"),
        (b"\xff\xff\xff\xff", "not a SentencePiece model"),
        (b"IQ== 0\nIg== 1\n", "not a SentencePiece model"),
        (sentencepiece([*SPIECES, *[("x", 0.0, 1)] * 9]), "272 tokens, the model only 265"),
    ],
    ids=["unigram", "no pieces", "empty", "noise", "tiktoken", "too many"],
)
def test_other_sentencepiece_models_are_refused(
    tmp_path: Path, work: Path, data: bytes, words: str
) -> None:
    """A SentencePiece model that splits otherwise, is something else or is too large is refused by
    name."""
    folder = write_folder(tmp_path / "hf")
    (tmp_path / "other.model").write_bytes(data)
    with pytest.raises(ModelError, match=words):
        import_model(folder, tmp_path / "other.model", work)


def test_normalisation_that_is_not_done_is_said(tmp_path: Path, work: Path) -> None:
    """A tokenizer that was trained on other text than it will get is imported with a note."""
    folder = write_folder(tmp_path / "hf", bos_token_id=1, eos_token_id=2)
    nmt = message(1, b"nmt_nfkc") + message(2, b"\1\2\3\4")
    (folder / "tokenizer.model").write_bytes(sentencepiece(SPIECES, normalizer=nmt))

    notes = " ".join(imported(folder, work).notes)

    assert "nmt_nfkc" in notes
    assert "runs of spaces" in notes


def test_merges_of_byte_fallback_become_scores(tmp_path: Path, work: Path) -> None:
    """The order of merges is kept in scores; where scores cannot keep it, that is said."""
    pieces = [piece for piece, _, _ in SPIECES]
    model = {
        "type": "BPE", "byte_fallback": True, "unk_token": "<unk>", "merges": [["\u2581", "a"]],
        "vocab": {piece: i for i, piece in enumerate(pieces)},
    }  # fmt: skip
    steps = [
        {"type": "Prepend", "prepend": "\u2581"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
    ]
    tokenizer = {
        "model": model, "normalizer": {"type": "Sequence", "normalizers": steps},
        "added_tokens": [{"id": i, "content": pieces[i], "special": True} for i in range(3)],
    }  # fmt: skip
    folder = write_folder(tmp_path / "hf", tokenizer=tokenizer, bos_token_id=1, eos_token_id=[2, 0])

    made = imported(folder, work)

    assert tokenizer_of(made.model).encode("a b") == [1, 259, 260, 262]
    assert made.model.meta("tokenizer.ggml.eos_token_id") == 2
    assert not any("split otherwise" in note for note in made.notes)
    model["merges"] = [["a", "b"], ["\u2581", "a"]]
    model["vocab"] = {p: i for i, p in enumerate([*pieces, "ab", "ba"])}
    write_folder(folder, tokenizer=tokenizer)
    assert any("split otherwise" in note for note in imported(folder, work).notes)
