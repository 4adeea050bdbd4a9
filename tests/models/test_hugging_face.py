"""Folders from Hugging Face become GGUFs of the same network, or are refused by effect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models.importing import import_model
from edgeprof.shared.reference.exact import exact_logits
from tests.models.imported_folder import imported
from tests.support import model_folders as folders
from tests.support.model_folders import (
    LAYERS,
    tensors,
    write_folder,
    write_safetensors,
)

TOKENS = [5, 200, 17, 17, 99, 3, 250, 64, 1, 30]


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
    """A RoPE scaling by 1 is imported as plain RoPE; any other factor is refused, of attention
    too."""
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
