"""Text to ids and back, for both kinds of tokenizer a GGUF carries."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models import ModelFile
from edgeprof.shared.models.tokenizer import SPACE, BytePair, tokenizer_of

SPEECH = "ROMEO:\nWhat light through yonder window breaks?\n\nIt is the east."
#: GPT-2's published merges begin with these; ids are the order of the vocabulary below.
MERGES = ["Ġ t", "Ġ a", "h e", "i n", "r e", "o n", "Ġt he", "e r", "l l", "l o", "he llo", "he ll"]
MERGES += ["hell o"]


def text_model(
    path: Path, kind: str, pieces: list[str], types: list[int] | None = None, **extra: object
) -> ModelFile:
    """Write the smallest llama that carries this tokenizer."""
    n, dim = len(pieces), 4
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(8)
    writer.add_embedding_length(dim)
    writer.add_feed_forward_length(dim)
    writer.add_block_count(1)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model(kind)
    writer.add_token_list(pieces)
    if types is not None:
        writer.add_token_types(types)
    for key, value in extra.items():
        getattr(writer, f"add_{key}")(value)
    for name in ("token_embd", "blk.0.attn_q", "blk.0.attn_k", "blk.0.attn_v", "blk.0.attn_output",
                 "blk.0.ffn_gate", "blk.0.ffn_up", "blk.0.ffn_down"):  # fmt: skip
        rows = n if name == "token_embd" else dim
        writer.add_tensor(f"{name}.weight", np.zeros((rows, dim), np.float32))
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(dim, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return ModelFile.open(path)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> BytePair:
    """A byte-level BPE: 256 bytes in GPT-2's order, then its merges."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = [chr(byte) for byte in printable] + [chr(256 + i) for i in range(68)]
    pieces = alphabet + [merge.replace(" ", "") for merge in MERGES]
    path = tmp_path_factory.mktemp("gpt2") / "gpt2.gguf"
    tokenizer = tokenizer_of(text_model(path, "gpt2", pieces, token_merges=MERGES))
    assert isinstance(tokenizer, BytePair)
    return tokenizer


@settings(max_examples=200)
@given(st.text().filter(lambda text: SPACE not in text))
def test_any_text_round_trips(small: ModelFile, text: str) -> None:
    """decode(encode(text)) is text: unknown characters go by their bytes (SentencePiece's own space aside)."""
    tokenizer = tokenizer_of(small)

    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_line_ends_survive(small: ModelFile) -> None:
    """Speech comes back with its lines, and in well under a token per character."""
    ids = tokenizer_of(small).encode(SPEECH)

    assert tokenizer_of(small).decode(ids) == SPEECH
    assert len(ids) < len(SPEECH) * 0.6


def test_no_bos_where_the_model_was_trained_without(small: ModelFile) -> None:
    """The shipped models never saw a beginning-of-sequence token, so none is put first."""
    ids = tokenizer_of(small).encode("ROMEO:")

    assert 1 not in ids
    assert tokenizer_of(small).encode("") == []


@settings(max_examples=200)
@given(st.text(alphabet="aAeEhot' \n", max_size=40))
def test_merges_are_those_of_plain_search(small: ModelFile, text: str) -> None:
    """The queue finds what looking at all pairs each time finds: best score first, leftmost on a tie."""
    pieces, scores = small.meta("tokenizer.ggml.tokens"), small.meta("tokenizer.ggml.scores")
    assert isinstance(pieces, list)
    assert isinstance(scores, list)
    index = {str(piece): i for i, piece in enumerate(pieces)}
    symbols = list(text.replace(" ", SPACE))
    while True:
        known = [
            (float(scores[index[a + b]]), -i)
            for i, (a, b) in enumerate(pairwise(symbols))
            if a + b in index
        ]
        if not known:
            break
        at = -max(known)[1]
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]

    ids = tokenizer_of(small).encode(text)

    assert [str(pieces[i]) for i in ids] == symbols


def test_space_prefix_and_bos_as_llama_has_them(tmp_path: Path) -> None:
    """Absent keys mean llama's defaults: a space before the text, and the BOS token first."""
    pieces = ["<unk>", "<s>", "</s>", SPACE + "a", SPACE, "a", "b"]
    model = text_model(
        tmp_path / "m.gguf", "llama", pieces, [2, 3, 3, 1, 1, 1, 1],
        token_scores=[0.0, 0.0, 0.0, -1.0, -2.0, -3.0, -4.0], bos_token_id=1,
    )  # fmt: skip
    tokenizer = tokenizer_of(model)

    assert tokenizer.encode("ab a") == [1, 3, 6, 3]
    assert tokenizer.decode([1, 3, 6, 3]) == "ab a"
    assert tokenizer.encode("z") == [1, 4, 0]


def test_gpt2_merges_by_rank_within_words(gpt2: BytePair) -> None:
    """Words carry their space; within one, the earliest merge goes first."""
    index = {piece: i for i, piece in enumerate(gpt2._pieces)}

    assert gpt2.encode("hello the") == [index["hello"], index["Ġthe"]]
    assert gpt2.encode("her") == [index["he"], index["r"]]
    assert gpt2.encode("a a") == [index["a"], index["Ġa"]]


@settings(max_examples=200)
@given(st.text())
def test_gpt2_round_trips(gpt2: BytePair, text: str) -> None:
    """A byte-level vocabulary spells anything."""
    assert gpt2.decode(gpt2.encode(text)) == text


@pytest.mark.parametrize(
    ("kind", "types", "extra"),
    [
        ("bert", None, {}),
        ("llama", [1, 1], {}),
        ("llama", [1, 1], {"token_scores": [0.0]}),
        ("llama", [1], {"token_scores": [0.0, 0.0]}),
        ("llama", [1, 6], {"token_scores": [0.0, 0.0]}),
        ("gpt2", None, {"token_merges": ["a b"], "tokenizer_pre": "deepseek-llm"}),
    ],
)
def test_an_unusable_tokenizer_says_to_pass_ids(
    tmp_path: Path, kind: str, types: list[int] | None, extra: dict[str, object]
) -> None:
    """Unknown kinds, missing scores, wrong counts and impossible byte tokens are one ModelError."""
    model = text_model(tmp_path / "m.gguf", kind, ["a", "b"], types, **extra)

    with pytest.raises(ModelError) as caught:
        tokenizer_of(model)

    assert caught.value.code == "tokenizer"
    assert "token ids" in (caught.value.hint or "")


def test_a_piece_is_no_book(tmp_path: Path) -> None:
    """A thousand tokens of a megabyte each would be a gigabyte of text."""
    pieces = ["<unk>", "x" * 257]
    model = text_model(tmp_path / "m.gguf", "llama", pieces, token_scores=[0.0, 0.0])

    with pytest.raises(ModelError, match="more than 256 characters"):
        tokenizer_of(model)
