"""config.json: the numbers of a llama, and refusals of settings that boards do not compute.

A key is judged by its effect: a value that changes nothing is accepted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from reprlib import repr as short_repr
from typing import Any

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models.llama_writing import Hyperparameters, read_file, refused

#: Mistral is a llama with a window; keys that its configuration omits have other defaults.
_ARCHITECTURES = ("LlamaForCausalLM", "MistralForCausalLM")
_LIMIT = 1 << 20
_LARGEST_FLOAT = 3.4e38
#: Kinds of RoPE that a factor of 1 makes plain; yarn also has a factor for attention.
_UNSCALED_BY_1 = ("linear", "dynamic", "llama3", "yarn")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, or raise ModelError naming the file."""
    try:
        value = json.loads(read_file(path))
    except (ValueError, RecursionError) as error:
        raise refused(path, f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise refused(path, "not a JSON object")
    return value


class Config:
    """The numbers in a folder's config.json; ModelError for what is missing or unsupported."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._values = read_json(path)
        plain = ["LlamaForCausalLM" if self._values.get("model_type") == "llama" else None]
        architectures = self._values.get("architectures") or plain
        if not isinstance(architectures, list) or architectures[0] not in _ARCHITECTURES:
            raise self._unsupported("architectures", "only LlamaForCausalLM is imported")
        self._mistral = architectures[0] == "MistralForCausalLM"
        self.numbers = self._numbers()
        self._check_effects()

    @property
    def tied(self) -> bool | None:
        """Whether the head is the embedding; None where the file does not say."""
        value = self._values.get("tie_word_embeddings")
        return value if isinstance(value, bool) else None

    @property
    def values(self) -> Mapping[str, Any]:
        """All values of the file."""
        return self._values

    def _numbers(self) -> Hyperparameters:
        dim = self._int("hidden_size")
        heads = self._int("num_attention_heads")
        kv_default = None if self._mistral else heads
        kv_heads = self._int("num_key_value_heads", kv_default)
        if dim % heads or heads % kv_heads or dim // heads % 2:
            raise refused(
                self.path,
                f"{heads} heads, {kv_heads} for keys and values, do not divide width {dim}",
            )
        head_dim = self._int("head_dim", dim // heads)
        if head_dim != dim // heads:
            raise self._unsupported("head_dim", f"only hidden_size / heads ({dim // heads}) is")
        return Hyperparameters(
            n_vocab=self._int("vocab_size"),
            n_ctx=self._int("max_position_embeddings", None if self._mistral else 2048),
            dim=dim,
            hidden=self._int("intermediate_size"),
            n_layers=self._int("num_hidden_layers"),
            n_heads=heads,
            n_heads_kv=kv_heads,
            rms_eps=self._float("rms_norm_eps", 1e-6),
            rope_base=self._rope_base(),
        )

    def _check_effects(self) -> None:
        act = self._values.get("hidden_act", "silu")
        if act not in ("silu", "swish"):
            raise self._unsupported("hidden_act", "the boards compute silu")
        if self._values.get("quantization_config"):
            raise self._unsupported(
                "quantization_config", "only float weights are", "import the unquantised model"
            )
        for key in ("num_experts", "num_local_experts"):
            experts = self._values.get(key)
            if experts not in (None, 0, 1):
                raise self._unsupported(key, "experts are not computed by any board")
        for name in ("rope_scaling", "rope_parameters"):
            self._check_rope(name)
        if self._values.get("partial_rotary_factor", 1.0) not in (None, 1.0):
            raise self._unsupported("partial_rotary_factor", "the boards rotate whole heads")
        self._check_window()

    def _check_rope(self, name: str) -> None:
        rope = self._values.get(name)
        if rope is None:
            return
        if not isinstance(rope, dict):
            raise self._unsupported(name, "it is no object")
        kind = rope.get("rope_type", rope.get("type", "default"))
        unscaled = kind in _UNSCALED_BY_1 and rope.get("factor") == 1
        plain = kind in (None, "default") or (
            unscaled and rope.get("attention_factor") in (None, 1.0)
        )
        if not plain:
            raise self._unsupported(name, "the boards rotate by plain RoPE")
        if rope.get("partial_rotary_factor", 1.0) not in (None, 1.0):
            raise self._unsupported(name, "the boards rotate whole heads")

    def _check_window(self) -> None:
        window = self._values.get("sliding_window", 4096 if self._mistral else None)
        if window is None or self._values.get("use_sliding_window") is False:
            return
        if not isinstance(window, int) or window < self.numbers.n_ctx:
            raise self._unsupported(
                "sliding_window",
                f"the boards attend to the whole context ({self.numbers.n_ctx} positions)",
                "null is right where the model was trained without a window",
            )

    def _rope_base(self) -> float:
        for key in ("rope_parameters", "rope_scaling"):
            parameters = self._values.get(key)
            if isinstance(parameters, dict) and "rope_theta" in parameters:
                return self._positive(f"{key}.rope_theta", parameters["rope_theta"])
        return self._float("rope_theta", 10000.0)

    def _int(self, key: str, default: int | None = None) -> int:
        value = self._values.get(key)
        value = default if value is None else value
        if value is None:
            raise refused(self.path, f"{key!r} is missing", code="missing")
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _LIMIT:
            raise refused(self.path, f"{key} is {short_repr(value)}, not between 1 and {_LIMIT}")
        return value

    def _float(self, key: str, default: float) -> float:
        value = self._values.get(key)
        return self._positive(key, default if value is None else value)

    def _positive(self, key: str, value: Any) -> float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value < _LARGEST_FLOAT:
            raise refused(self.path, f"{key} is {short_repr(value)}, not a positive number")
        return float(value)

    def _unsupported(self, key: str, why: str, hint: str | None = None) -> ModelError:
        value = short_repr(self._values.get(key))
        return refused(
            self.path, f"{key} is {value}, which is not supported: {why}",
            code="architecture", hint=hint,
        )  # fmt: skip
