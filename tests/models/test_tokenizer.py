"""Text to ids and back, for both kinds of tokenizer a GGUF carries.

It is long because both kinds are held to the same rules, side by side.
"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models import ModelFile
from edgeprof.shared.models.token_splits import GPT2, SPLITS
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
        if isinstance(value, tuple):
            writer.add_key_value(f"tokenizer.ggml.{key}", *value)
        else:
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
    model = text_model(path, "gpt2", pieces, token_merges=MERGES, tokenizer_pre="gpt-2")
    tokenizer = tokenizer_of(model)
    assert isinstance(tokenizer, BytePair)
    return tokenizer


@settings(max_examples=200)
@given(st.text().filter(lambda text: SPACE not in text))
def test_any_text_round_trips(small: ModelFile, text: str) -> None:
    """decode(encode(text)) is text: unknown characters go by their bytes (SentencePiece's own space
    aside)."""
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
    """The queue finds what looking at all pairs each time finds: best score first, leftmost on a
    tie."""
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
    """A tokenizer without the keys has llama's defaults: a space before the text, and BOS first."""
    pieces = ["<unk>", "<s>", "</s>", SPACE + "a", SPACE, "a", "b"]
    model = text_model(
        tmp_path / "m.gguf", "llama", pieces, [2, 3, 3, 1, 1, 1, 1],
        token_scores=[0.0, 0.0, 0.0, -1.0, -2.0, -3.0, -4.0], bos_token_id=1,
    )  # fmt: skip
    tokenizer = tokenizer_of(model)

    assert tokenizer.encode("ab a") == [1, 3, 6, 3]
    assert tokenizer.decode([1, 3, 6, 3]) == "ab a"
    with pytest.raises(ModelError, match="cannot spell 'z'"):  # llama.cpp stops there, too
        tokenizer.encode("z")


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


@settings(max_examples=300)
@given(st.text(alphabet="heloinrt a\n", max_size=60))
def test_gpt2_merges_are_those_of_plain_search(gpt2: BytePair, text: str) -> None:
    """The queue finds what looking at all pairs finds: lowest rank first, leftmost on a tie."""
    ranks = {tuple(merge.split(" ")): rank for rank, merge in enumerate(MERGES)}
    index = {piece: i for i, piece in enumerate(gpt2._pieces)}
    want: list[int] = []
    for word in GPT2.words(text):
        symbols = list(word.replace(" ", "Ġ").replace("\n", "Ċ"))
        while known := [(ranks[p], i) for i, p in enumerate(pairwise(symbols)) if p in ranks]:
            at = min(known)[1]
            symbols[at : at + 2] = ["".join(symbols[at : at + 2])]
        want += [index[symbol] for symbol in symbols]

    assert gpt2.encode(text) == want


def test_a_long_word_takes_no_time(gpt2: BytePair) -> None:
    """Eight times the letters take about eight times as long; looking at all pairs took 64."""

    def seconds(text: str) -> float:
        start = time.process_time()
        gpt2.encode(text)
        return time.process_time() - start

    short = min(seconds("hello" * 2000) for _ in range(3))

    assert seconds("hello" * 16000) < 24 * short


#: Cuts that tell the rules apart; each was compared with llama.cpp's own code (unicode.cpp).
@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("gpt-2", "I'm in 2024,  it's!!\n\nOK", "I|'m| in| 2024|,| | it|'s|!!|\n|\n|OK"),
        ("default", "I'm in 2024,  it's!!\n\nOK", "I|'|m| in| |202|4|,| | it|'|s|!!|\n|\n|OK"),
        ("smollm", "I'm in 2024,  it's!!\n\nOK", "I|'m| in| |2|0|2|4|,| | it|'s|!!|\n|\n|OK"),
        ("llama-bpe", "I'm in 2024,  IT'S!!\n\nOK", "I|'m| in| |202|4|,| | IT|'S|!!\n\n|OK"),
        ("gpt-2", "IT'S a_b $9", "IT|'|S| a|_|b| $|9"),
        ("default", "x<=y $9", "x|<=|y| |$|9"),
        ("llama-bpe", "a  \n b\t", "a|  \n| b|\t"),
        ("smollm", "a\u00b212 ", "a|\u00b2|1|2| "),
        ("gpt-2", "  ", "  "),
    ],
)  # fmt: skip
def test_splits_are_llama_cpps(name: str, text: str, words: str) -> None:
    """Each pre-tokenizer cuts text where llama.cpp's cuts it."""
    assert "|".join(SPLITS[name].words(text)) == words


@settings(max_examples=200)
@given(st.sampled_from(sorted(SPLITS)), st.text())
def test_words_are_the_text(name: str, text: str) -> None:
    """No split loses or moves a character."""
    assert "".join(SPLITS[name].words(text)) == text


def test_a_file_without_pre_splits_by_the_default_rule(tmp_path: Path, gpt2: BytePair) -> None:
    """llama.cpp takes its default rule then, not GPT-2's; the tokenizer says so."""
    pieces = gpt2._pieces
    tokenizer = tokenizer_of(
        text_model(
            tmp_path / "m.gguf", "gpt2", pieces, token_merges=[*MERGES, "1 2", "12 3", "3 4"]
        )
    )

    assert "default" in tokenizer.note
    assert not gpt2.note
    with pytest.raises(ModelError, match="not supported"):
        tokenizer_of(text_model(tmp_path / "m.gguf", "gpt2", pieces, tokenizer_pre="qwen9"))


def test_llama3_keeps_words_that_are_tokens(tmp_path: Path, gpt2: BytePair) -> None:
    """llama-bpe puts BOS first, and takes a word that is a token whole without any merge."""
    pieces = [*gpt2._pieces, "\u0120whole", "<bos>"]
    bos = len(pieces) - 1
    extra: dict[str, Any] = {"token_merges": MERGES, "bos_token_id": bos}
    llama3 = text_model(tmp_path / "a.gguf", "gpt2", pieces, tokenizer_pre="llama-bpe", **extra)
    smollm = text_model(tmp_path / "b.gguf", "gpt2", pieces, tokenizer_pre="smollm", **extra)

    assert tokenizer_of(llama3).encode(" whole") == [bos, bos - 1]
    assert len(tokenizer_of(smollm).encode(" whole")) == 6


def test_a_vocabulary_without_every_byte_says_what_it_cannot_spell(tmp_path: Path) -> None:
    """A merge that makes no token falls back to its parts; a byte without a token is an error."""
    model = text_model(
        tmp_path / "m.gguf", "gpt2", ["a", "b"], token_merges=["a b"], tokenizer_pre="gpt-2"
    )
    tokenizer = tokenizer_of(model)

    assert tokenizer.encode("ab") == [0, 1]
    with pytest.raises(ModelError, match=r"cannot spell 'c'") as caught:
        tokenizer.encode("ac")
    assert caught.value.code == "unspellable"


def test_user_defined_tokens_are_found_before_the_text_is_split(tmp_path: Path) -> None:
    """User-defined tokens are whole wherever they stand, the longest first; control tokens are
    text."""
    pieces = ["<unk>", "<s>", "</s>", SPACE + "a", SPACE, "a", "b", "<", ">", "/", "s"]
    pieces += ["<s", "<sep>", "<sep><sep>", "b b", "<|im_end|>"]
    model = text_model(
        tmp_path / "m.gguf", "llama", pieces, [2, 3, 3, *[1] * 9, 4, 4, 4, 4],
        token_scores=[-float(i) for i in range(len(pieces))],
    )  # fmt: skip
    tokenizer = tokenizer_of(model)

    # a space is put first after a token, too
    assert tokenizer.encode("a<sep>a") == [1, 3, 12, 3]
    assert tokenizer.encode("<sep><sep><sep>") == [1, 13, 12]
    assert tokenizer.encode("ab bb") == [1, 3, 14, 4, 6]
    assert tokenizer.encode("a</s>") == [1, 3, 7, 9, 10, 8]
    assert tokenizer.decode([1, 3, 12, 5, 14]) == "a<sep>ab b"
    # llama.cpp takes the ends of chat turns for control tokens, whatever their file says
    assert tokenizer.decode([3, 15]) == "a"


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4, 5, 10, 11, 7, 6, 12])
def test_flags_are_read_by_value(tmp_path: Path, kind: int) -> None:
    """add_bos_token as a number 0 is false, and 1 is true, whatever the number's type."""
    pieces = ["<unk>", "<s>", "</s>", SPACE + "a", SPACE, "a"]
    extra = {"token_scores": [-float(i) for i in range(6)]}
    for value in (0, 1):
        flag = (bool(value) if kind == 7 else value, gguf.GGUFValueType(kind))
        model = text_model(
            tmp_path / "m.gguf", "llama", pieces, [2, 3, 3, 1, 1, 1], **extra,
            add_bos_token=flag, add_space_prefix=flag, add_eos_token=flag,
        )  # fmt: skip
        assert tokenizer_of(model).encode("a") == ([1, 3, 2] if value else [5])


@pytest.mark.parametrize("code", [0, 0xD800, 0xDCE9, 0xDFFF, 0xFFFF, 0x10FFFF])
def test_what_is_no_text_does_not_crash(small: ModelFile, gpt2: BytePair, code: int) -> None:
    """Half characters become U+FFFD; bytes that are no UTF-8 stay bytes."""
    text = f"a{chr(code)}b"
    for tokenizer in (tokenizer_of(small), gpt2):
        decoded = tokenizer.decode(tokenizer.encode(text))
        assert decoded == "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)


@pytest.mark.parametrize(
    ("kind", "types", "extra"),
    [
        ("bert", None, {}),
        ("llama", [1, 1], {}),
        ("llama", [1, 1], {"token_scores": [0.0]}),
        ("llama", [1], {"token_scores": [0.0, 0.0]}),
        ("llama", [1, 1], {"token_scores": [0.0, float("nan")]}),
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
