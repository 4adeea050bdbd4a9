"""Folders from Hugging Face become GGUFs of the same network, or are refused by effect."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models.importing import import_model
from edgeprof.shared.models.tokenizer import tokenizer_of
from edgeprof.shared.reference.exact import exact_logits
from tests.support import model_folders as folders
from tests.support.model_folders import (
    BOS,
    EOS,
    LAYERS,
    SEP,
    VOCAB,
    tensors,
    write_folder,
    write_safetensors,
)

TOKENS = [5, 200, 17, 17, 99, 3, 250, 64, 1, 30]


def imported(folder: Path, work: Path) -> Any:
    return import_model(folder, None, work)


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16", "F64"])
def test_logits_are_those_of_rotate_half(tmp_path: Path, work: Path, dtype: str) -> None:
    """The import computes what transformers' formulas compute, in every float type."""
    weights = {
        name: np.asarray(
            (values.view("<u4") >> 16 << 16).view(np.float32)
            if dtype == "BF16"
            else values.astype({"F16": np.float16}.get(dtype, np.float32)),
            np.float32,
        )
        for name, values in tensors().items()
    }
    model = imported(write_folder(tmp_path / "hf", weights=weights, dtype=dtype), work).model

    np.testing.assert_allclose(
        exact_logits(model, TOKENS), folders.logits(weights, TOKENS), rtol=1e-6, atol=1e-6
    )
    assert (model.shape.rope_base, model.name, model.shape.tied_output) == (5000.0, "model", False)


def test_tied_embeddings_have_no_head(tmp_path: Path, work: Path) -> None:
    """tie_word_embeddings leaves the head out, also where it is repeated; another is refused."""
    weights = tensors()
    head = weights.pop("lm_head.weight")
    for extra in ({}, {"lm_head.weight": weights["model.embed_tokens.weight"]}):
        folder = write_folder(tmp_path / "hf", weights=weights | extra, tie_word_embeddings=True)
        model = imported(folder, work).model
        assert model.shape.tied_output
        np.testing.assert_allclose(
            exact_logits(model, TOKENS), folders.logits(weights, TOKENS), rtol=1e-6, atol=1e-6
        )

    folder = write_folder(
        tmp_path / "hf", weights=weights | {"lm_head.weight": head}, tie_word_embeddings=True
    )
    with pytest.raises(ModelError, match="tie_word_embeddings"):
        imported(folder, work)


def test_shards_are_one_model(tmp_path: Path, work: Path) -> None:
    """Weights in two files give the model of one file; a missing shard is named."""
    folder = write_folder(tmp_path / "hf")
    whole = imported(folder, work).model
    weights = tensors()
    names = sorted(weights)
    parts = {
        "model-00001-of-00002.safetensors": names[::2],
        "model-00002-of-00002.safetensors": names[1::2],
    }
    for file, part in parts.items():
        write_safetensors(folder / file, {name: weights[name] for name in part})
    index = {"weight_map": {name: file for file, part in parts.items() for name in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()

    two = imported(folder, tmp_path / "two.gguf").model
    for name in whole.header.tensors:
        one, other = whole.raw_tensor(name), two.raw_tensor(name)
        assert one is not None
        assert other is not None
        np.testing.assert_array_equal(one[1], other[1])
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelError, match="model-00002-of-00002"):
        imported(folder, work)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("architectures", ["MixtralForCausalLM"]),
        ("rope_scaling", {"rope_type": "llama3", "factor": 8.0}),
        ("rope_scaling", {"type": "linear", "factor": 2.0}),
        ("rope_parameters", {"rope_type": "yarn", "rope_theta": 10000.0}),
        ("rope_parameters", {"rope_type": "default", "partial_rotary_factor": 0.5}),
        ("partial_rotary_factor", 0.5),
        ("head_dim", 16),
        ("hidden_act", "gelu"),
        ("sliding_window", 8),
        ("quantization_config", {"quant_method": "gptq"}),
        ("num_local_experts", 8),
        ("num_attention_heads", 5),
        ("hidden_size", None),
        ("rms_norm_eps", -1),
        ("vocab_size", "many"),
    ],
)
def test_what_no_board_computes_is_refused_by_its_key(
    tmp_path: Path, work: Path, key: str, value: Any
) -> None:
    """A key whose value changes the computation is named with the value."""
    with pytest.raises(ModelError) as caught:
        imported(write_folder(tmp_path / "hf", **{key: value}), work)

    assert "config.json" in str(caught.value)
    words = {"num_attention_heads": "5 heads"}
    assert words.get(key, key) in str(caught.value)
    assert not work.exists()


def test_keys_without_effect_are_no_reason(tmp_path: Path, work: Path) -> None:
    """The same keys set to what changes nothing give the same file."""
    plain = imported(write_folder(tmp_path / "hf"), work).model.sha256
    same: dict[str, Any] = {
        "rope_scaling": {"type": "linear", "factor": 1.0},
        "rope_parameters": {"rope_type": "default"}, "partial_rotary_factor": 1.0,
        "head_dim": 8, "sliding_window": 4096, "attention_bias": False, "mlp_bias": False,
        "pretraining_tp": 2, "num_local_experts": 1, "hidden_act": "swish",
    }  # fmt: skip

    assert imported(write_folder(tmp_path / "hf", **same), work).model.sha256 == plain
    mistral = write_folder(
        tmp_path / "hf", architectures=["MistralForCausalLM"], sliding_window=folders.N_CTX
    )
    assert imported(mistral, work).model.sha256 == plain


def test_biases_count_by_their_values(tmp_path: Path, work: Path) -> None:
    """A bias of zeros adds nothing; any other is refused, with the key that it belongs to."""
    weights = tensors()
    zeros = {
        f"model.layers.{i}.self_attn.q_proj.bias": np.zeros(32, np.float32) for i in range(LAYERS)
    }
    imported(write_folder(tmp_path / "hf", weights=weights | zeros, attention_bias=True), work)

    for name, key in (("self_attn.q_proj", "attention_bias"), ("mlp.up_proj", "mlp_bias")):
        bias = {f"model.layers.0.{name}.bias": np.full(40, 0.5, np.float32)}
        with pytest.raises(ModelError, match=key):
            imported(write_folder(tmp_path / "hf", weights=weights | bias), work)
    more = {"model.layers.0.self_attn.q_norm.weight": np.ones(8, np.float32)}
    with pytest.raises(ModelError, match="q_norm"):
        imported(write_folder(tmp_path / "hf", weights=weights | more), work)


def test_tensors_are_held_to_the_configuration(tmp_path: Path, work: Path) -> None:
    """A missing tensor, another shape, another type and a short file are each named."""
    weights = tensors()
    for spoil, words in (
        (lambda w: w.pop("model.norm.weight"), "'model.norm.weight' is missing"),
        (lambda w: w.pop("lm_head.weight"), "'lm_head.weight' is missing"),
        (lambda w: w.update({"model.norm.weight": np.ones(31, np.float32)}), r"\[31\].*\[32\]"),
    ):
        spoilt = dict(weights)
        spoil(spoilt)
        with pytest.raises(ModelError, match=words):
            imported(write_folder(tmp_path / "hf", weights=spoilt), work)
    with pytest.raises(ModelError, match="type I8"):
        imported(write_folder(tmp_path / "hf", dtype="I8"), work)
    file = write_folder(tmp_path / "hf") / "model.safetensors"
    for data in (file.read_bytes()[:-4], file.read_bytes()[:20], b"", b"\xff" * 64):
        file.write_bytes(data)
        with pytest.raises(ModelError, match=r"model\.safetensors"):
            imported(tmp_path / "hf", work)
    file.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    with pytest.raises(ModelError, match="Git LFS pointer"):
        imported(tmp_path / "hf", work)


def test_what_a_folder_lacks_is_said(tmp_path: Path, work: Path) -> None:
    """All that is missing is listed at once; a pickle is told how to become safetensors."""
    with pytest.raises(
        ModelError, match=r"config\.json and model\.safetensors.* and tokenizer\.json"
    ):
        imported(tmp_path, work)
    folder = write_folder(tmp_path / "hf")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"lacks model\.safetensors") as caught:
        imported(folder, work)
    assert "save_pretrained" in str(caught.value.hint)


def test_other_files_are_told_what_they_are(tmp_path: Path, work: Path) -> None:
    """A GGUF, a PyTorch checkpoint, bare safetensors, nothing: each is named, with what to do."""
    folder = write_folder(tmp_path / "hf")
    imported(folder, work)
    pickle = tmp_path / "ckpt.pt"
    pickle.write_bytes(b"PK\x03\x04 torch")
    for path, words in (
        (work, "already"), (pickle, "pickle"), (folder / "model.safetensors", "only the weights"),
        (tmp_path / "gone", "cannot read"),
    ):  # fmt: skip
        with pytest.raises(ModelError, match=words) as caught:
            import_model(path, None, tmp_path / "out.gguf")
        assert str(path) in str(caught.value)


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


LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


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
    """What would split text otherwise than in training is one ModelError naming the file."""
    folder = write_folder(tmp_path / "hf", tokenizer=folders.TOKENIZER | change)
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        imported(folder, work)


def test_tokenizer_is_held_to_the_vocabulary(tmp_path: Path, work: Path) -> None:
    """More tokens than the model has are refused with both numbers; fewer leave unused ids."""
    vocab = {p: i for i, p in enumerate(folders.PIECES)} | {"extra": VOCAB}
    more = folders.TOKENIZER | {"model": folders.TOKENIZER["model"] | {"vocab": vocab}}
    with pytest.raises(ModelError, match=f"{VOCAB + 1} tokens, the model only {VOCAB}"):
        imported(write_folder(tmp_path / "hf", tokenizer=more), work)

    fewer = folders.TOKENIZER | {"added_tokens": folders.TOKENIZER["added_tokens"][:2]}
    made = imported(write_folder(tmp_path / "hf", tokenizer=fewer), work)
    assert f"{VOCAB - 1} tokens, the model {VOCAB}" in made.notes[0]
    assert tokenizer_of(made.model).decode([SEP]) == ""


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path, work: Path) -> None:
    """A vocabulary is padded to whole blocks, not by the half; and what ends a text is one of its tokens."""
    folder = write_folder(tmp_path / "half", vocab_size=2 * VOCAB)
    with pytest.raises(
        ModelError, match=rf"{VOCAB} tokens, the model {2 * VOCAB}: it is another's"
    ):
        imported(folder, work)

    folder = write_folder(tmp_path / "end", vocab_size=VOCAB + 64, eos_token_id=VOCAB + 7)
    with pytest.raises(ModelError, match=rf"the model's eos is token {VOCAB + 7}"):
        imported(folder, work)


@pytest.mark.parametrize(
    ("name", "index", "value", "dtype"),
    [
        ("model.layers.0.self_attn.q_proj.weight", 35, np.nan, "F32"),
        ("lm_head.weight", 3, np.inf, "F16"),
        ("model.norm.weight", 7, -np.inf, "BF16"),
    ],
)
def test_broken_weights_are_named_as_their_file_has_them(
    tmp_path: Path, work: Path, name: str, index: int, value: float, dtype: str
) -> None:
    """File, tensor and index are those of the folder, not of the GGUF that would have been made."""
    weights = tensors()
    weights[name].reshape(-1)[index] = value
    folder = write_folder(tmp_path / "hf", weights=weights, dtype=dtype)

    with pytest.raises(ModelError, match=f"{name}' is broken: weight {index} is {value}") as caught:
        imported(folder, work)

    assert str(caught.value).startswith(str(folder / "model.safetensors"))
    assert not work.exists()


@pytest.mark.parametrize("kind", ["linear", "dynamic", "llama3", "yarn"])
def test_a_rope_scaling_by_1_scales_nothing(tmp_path: Path, work: Path, kind: str) -> None:
    """It is imported as the plain RoPE that it is; any other factor is refused, of attention too."""
    for i, more in enumerate(({"factor": 2.0}, {"factor": 1.0, "attention_factor": 1.2}, {})):
        scaling = {"rope_type": kind, **more}
        with pytest.raises(ModelError, match="plain RoPE"):
            imported(write_folder(tmp_path / str(i), rope_scaling=scaling), work)
    scaling = {"rope_type": kind, "factor": 1.0, "original_max_position_embeddings": 32}

    assert imported(write_folder(tmp_path / "plain", rope_scaling=scaling), work)


@pytest.mark.parametrize(
    "key",
    ["hidden_act", "num_local_experts", "architectures", "partial_rotary_factor", "rope_theta"],
)
@pytest.mark.parametrize("value", [["x"], [["x"]], {"a": 1}, 10**400])
def test_values_of_any_kind_are_one_line(tmp_path: Path, work: Path, key: str, value: Any) -> None:
    """A list, an object or a huge number where none belongs is a ModelError that names the key."""
    with pytest.raises(ModelError, match=rf"config\.json: {key}"):
        imported(write_folder(tmp_path / "hf", **{key: value}), work)


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
    """What splits otherwise, is something else, or has more tokens than the model is named."""
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
