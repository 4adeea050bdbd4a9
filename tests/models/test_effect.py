"""A key or a tensor is refused for what it does, never for being there."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models import ModelFile, rules
from edgeprof.shared.models.quantize import quantize
from edgeprof.shared.types.model import Quantization
from tests.support import header_files as h
from tests.support.header_files import HeaderFile, Tensor


def packed(value: bool | float | str) -> bytes:
    """A value as llama.cpp would write it."""
    if isinstance(value, str):
        return h.string(value.encode())
    kind = h.BOOL if isinstance(value, bool) else h.U32 if isinstance(value, int) else h.F32
    made = h.scalar(kind, value)
    assert made is not None
    return made


def opened(path: Path, **values: bool | float | str) -> ModelFile:
    """A small model with these keys of llama's."""
    file = HeaderFile()
    for key, value in values.items():
        file = file.with_key(f"llama.{key}", packed(value))
    path.write_bytes(file.write())
    return ModelFile.open(path)


#: What llama.cpp's own saver writes into a llama, used or not.
SAVED: dict[str, bool | float | str] = {
    "expert_count": 0,
    "expert_used_count": 0,
    "expert_feed_forward_length": 0,
    "expert_weights_scale": 0.0,
    "use_parallel_residual": False,
    "swin_norm": False,
    "pooling_type": 0xFFFFFFFF,
    "logit_scale": 0.0,
    "residual_scale": 0.0,
    "embedding_scale": 0.0,
    "attn_logit_softcapping": 50.0,
    "final_logit_softcapping": 30.0,
    "rescale_every_n_layers": 0,
    "attention.max_alibi_bias": 0.0,
    "attention.clamp_kqv": 0.0,
    "attention.key_length": 8,
    "attention.value_length": 8,
    "attention.layer_norm_epsilon": 0.0,
    "attention.causal": True,
    "attention.sliding_window": 0,
    "attention.scale": 0.0,
    "rope.freq_base": 10000.0,
    "rope.scaling.type": "linear",
    "rope.scaling.factor": 0.0,
    "rope.scaling.attn_factor": 1.0,
    "rope.scaling.original_context_length": 16,
    "rope.scaling.finetuned": False,
    "rope.scaling.yarn_log_multiplier": 0.0,
}


def test_what_llama_cpp_saves_is_read(tmp_path: Path) -> None:
    """All of its keys together, and a hundred more of which nobody has heard."""
    more = {f"extra.{i}": i for i in range(119)}

    model = opened(tmp_path / "m.gguf", **SAVED, **more)

    assert model.shape == opened(tmp_path / "plain.gguf").shape


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rope.scaling.type", "none"),
        ("rope.scaling.factor", 1.0),
        ("rope.scale_linear", 1.0),
        ("attention.scale", 8**-0.5),
        ("attention.sliding_window", 16),
        ("attention.sliding_window", 4096),
        ("logit_scale", 1.0),
        ("attention.causal", 1),
        ("rope.freq_base", 500000),
    ],
)
def test_what_changes_nothing_is_accepted(tmp_path: Path, key: str, value: float | str) -> None:
    """A key whose value changes nothing is accepted in any type."""
    opened(tmp_path / "m.gguf", **{key: value})


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("attention.causal", False, "tokens would see those that follow"),
        ("rope.scaling.factor", 2.0, "positions would be scaled"),
        ("rope.scale_linear", 0.5, "positions would be scaled"),
        ("rope.scaling.type", "yarn", "positions would be scaled"),
        ("rope.scaling.attn_factor", 1.2, "attention would be scaled"),
        ("expert_count", 8, "mixture of experts"),
        ("expert_used_count", 2, "mixture of experts"),
        ("attention.sliding_window", 8, "old tokens would be forgotten"),
        ("attention.clamp_kqv", 8.0, "clamped"),
        ("attention.max_alibi_bias", 8.0, "biased"),
        ("attention.scale", 0.125, "not 1 through the root of 8"),
        ("attention.key_length", 16, "it must be 8"),
        ("attention.value_length", 4, "it must be 8"),
        ("logit_scale", 0.5, "logits would be scaled"),
        ("residual_scale", 0.22, "output would be scaled"),
        ("embedding_scale", 12.0, "embeddings would be scaled"),
        ("final_logit_softcapping", 15.0, "capped"),
    ],
)
def test_what_changes_the_answer_is_refused(
    tmp_path: Path, key: str, value: float | str, why: str
) -> None:
    """The key, its value, and what it would do are said."""
    with pytest.raises(ModelError) as refused:
        opened(tmp_path / "m.gguf", **{key: value})

    assert refused.value.code == "architecture"
    shown = f"llama.{key} is {value!r}" if not isinstance(value, float) else f"llama.{key} is "
    assert shown in str(refused.value)
    assert why in str(refused.value)


def test_a_factor_without_scaling_does_nothing(tmp_path: Path) -> None:
    """A factor beside scaling of type "none" is ignored, as llama.cpp does."""
    keys: dict[str, float | str] = {"rope.scaling.type": "none", "rope.scaling.factor": 8.0}

    opened(tmp_path / "m.gguf", **keys)


@pytest.mark.parametrize(
    ("key", "kind", "value", "read"),
    [
        ("rope.freq_base", h.U32, 20000, 20000.0),
        ("rope.freq_base", h.I64, 20000, 20000.0),
        ("rope.freq_base", h.F64, 20000.5, 20000.5),
        ("attention.layer_norm_rms_epsilon", h.F64, 1e-5, float(np.float32(1e-5))),
        ("context_length", h.U8, 16, 16),
        ("context_length", h.I64, 16, 16),
    ],
)
def test_a_number_is_read_whatever_its_type(
    tmp_path: Path, key: str, kind: int, value: float, read: float
) -> None:
    """A number counts by its value, rounded to float32 where the boards compute with that."""
    made = h.scalar(kind, value)
    path = tmp_path / "m.gguf"
    path.write_bytes(HeaderFile().with_key(f"llama.{key}", made).write())
    shape = ModelFile.open(path).shape

    assert read in {shape.rope_base, shape.rms_eps, shape.n_ctx}


def test_frequency_factors_of_one_do_nothing(tmp_path: Path) -> None:
    """The tensor is kept in every type; another factor is refused by its index and value."""
    ones, mixed = np.ones(4, "<f4"), np.array([1, 1, 8, 1], "<f4")
    path = tmp_path / "m.gguf"
    file = HeaderFile().with_tensor(rules.FREQUENCY_FACTORS, Tensor((4,), data=ones.tobytes()))
    path.write_bytes(file.write())

    made = quantize(ModelFile.open(path), Quantization.Q8_0, tmp_path / "q.gguf")

    assert made.header.tensors[rules.FREQUENCY_FACTORS].quantization is Quantization.F32
    file = file.with_tensor(rules.FREQUENCY_FACTORS, Tensor((4,), data=mixed.tobytes()))
    path.write_bytes(file.write())
    with pytest.raises(ModelError, match=r"'rope_freqs.weight' divides frequency 2 .* by 8"):
        ModelFile.open(path)


def test_dimensions_of_one_say_nothing(tmp_path: Path) -> None:
    """A norm of shape (64, 1) is a norm, and stays F32."""
    path = tmp_path / "m.gguf"
    norm = Tensor((64, 1), data=np.ones(64, "<f4").tobytes())
    path.write_bytes(HeaderFile().with_tensor("output_norm.weight", norm).write())

    made = quantize(ModelFile.open(path), Quantization.Q8_0, tmp_path / "q.gguf")

    assert made.header.tensors["output_norm.weight"].quantization is Quantization.F32


def test_keys_have_a_limit_against_hostile_files(tmp_path: Path) -> None:
    """A thousand are read; more are refused by their number."""
    path = tmp_path / "m.gguf"
    keys = [(b"llama.extra.%d" % i, struct.pack("<II", h.U32, i)) for i in range(rules.MAX_KV)]
    file = HeaderFile()
    path.write_bytes(HeaderFile(keys=(*file.keys, *keys)).write())

    with pytest.raises(ModelError, match=r"number of metadata keys is 1035, more than 1024"):
        ModelFile.open(path)
