"""Which values the header of a model may have: one table, for the host and for the boards.

The host reads this module; `make docs` writes `firmware/core/model/gguf_rules.h` from it. So a
board never refuses a queued job for a reason that the host could have known.

A key that changes nothing is accepted, whatever its value; a key is refused when it asks for
something that the boards do not compute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Limits that honest files do not reach: llama.cpp's own saver writes 135 keys.
MAX_KV: Final = 1024
MAX_TENSORS: Final = 1024
MAX_KEY_BYTES: Final = 256
MAX_NAME_BYTES: Final = 64  # the specification's own limit
MAX_STRING_BYTES: Final = 1 << 20
#: In one array, and in all arrays together: each item costs the host more than the file.
MAX_ARRAY: Final = 1 << 20
MAX_ITEMS: Final = 1 << 22
MIN_ALIGNMENT: Final = 8
MAX_ALIGNMENT: Final = 4096


@dataclass(frozen=True, slots=True)
class Whole:
    """A key that holds an integer of any width, from `low` to `high`."""

    key: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Real:
    """A key that holds a number of any type, read as float32: above `low`, below `high`."""

    key: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Neutral:
    """A key that changes what llama computes unless it has one of these values.

    Any type of number will do; false is 0 and true is 1, and the nearest float32 counts.
    """

    key: str
    values: tuple[float, ...]
    effect: str


ARCHITECTURE_KEY: Final = "general.architecture"
ALIGNMENT: Final = Whole("general.alignment", MIN_ALIGNMENT, MAX_ALIGNMENT)
CONTEXT: Final = Whole("llama.context_length", 1, 1 << 20)
WIDTH: Final = Whole("llama.embedding_length", 1, 1 << 14)
HIDDEN: Final = Whole("llama.feed_forward_length", 1, 1 << 16)
LAYERS: Final = Whole("llama.block_count", 1, 256)
HEADS: Final = Whole("llama.attention.head_count", 1, 256)
HEADS_KV: Final = Whole("llama.attention.head_count_kv", 1, 256)
KEY_LENGTH: Final = Whole("llama.attention.key_length", 1, 1 << 14)
VALUE_LENGTH: Final = Whole("llama.attention.value_length", 1, 1 << 14)
ROTATED: Final = Whole("llama.rope.dimension_count", 1, 1 << 14)
VOCABULARY: Final = Whole("llama.vocab_size", 1, MAX_ARRAY)
WHOLES: Final = (
    *(ALIGNMENT, CONTEXT, WIDTH, HIDDEN, LAYERS, HEADS, HEADS_KV),
    *(KEY_LENGTH, VALUE_LENGTH, ROTATED, VOCABULARY),
)

EPSILON: Final = Real("llama.attention.layer_norm_rms_epsilon", 0.0, 1.0)
FREQUENCY_BASE: Final = Real("llama.rope.freq_base", 1.0, 1e9)
REALS: Final = (EPSILON, FREQUENCY_BASE)
DEFAULT_FREQUENCY_BASE: Final = 10000.0

#: Each of these keys has a rule of its own in shape.py and gguf.c.
SCALING_TYPE_KEY: Final = "llama.rope.scaling.type"
SLIDING_WINDOW_KEY: Final = "llama.attention.sliding_window"
ATTENTION_SCALE_KEY: Final = "llama.attention.scale"
#: How far the square of attention.scale, times the width of a head, may be from 1, for float32's
#: rounding.
SCALE_TOLERANCE: Final = 1e-6

#: Positions are divided by these unless the type of scaling is "none". llama.cpp writes 0 for 1.
SCALING_FACTORS: Final = (
    Neutral("llama.rope.scaling.factor", (0.0, 1.0), "positions would be scaled"),
    Neutral("llama.rope.scale_linear", (0.0, 1.0), "positions would be scaled"),
)
#: Keys that llama.cpp's graph of llama reads, and keys that other tools write for the same purpose.
#: llama.cpp's saver writes 50 and 30 for the two soft caps into every file, used or not.
NEUTRALS: Final = (
    Neutral("llama.expert_count", (0.0,), "it would be a mixture of experts"),
    Neutral("llama.expert_used_count", (0.0,), "it would be a mixture of experts"),
    Neutral("llama.expert_shared_count", (0.0,), "it would be a mixture of experts"),
    Neutral("llama.attention.causal", (1.0,), "tokens would see those that follow them"),
    Neutral("llama.attention.clamp_kqv", (0.0,), "queries, keys and values would be clamped"),
    Neutral("llama.attention.max_alibi_bias", (0.0,), "attention would be biased by distance"),
    Neutral("llama.attention.output_scale", (0.0, 1.0), "attention's output would be scaled"),
    Neutral("llama.attention.temperature_scale", (0.0,), "attention would depend on position"),
    Neutral("llama.attn_logit_softcapping", (0.0, 50.0), "attention scores would be capped"),
    Neutral("llama.final_logit_softcapping", (0.0, 30.0), "logits would be capped"),
    Neutral("llama.logit_scale", (0.0, 1.0), "logits would be scaled"),
    Neutral("llama.residual_scale", (0.0, 1.0), "each block's output would be scaled"),
    Neutral("llama.embedding_scale", (0.0, 1.0), "embeddings would be scaled"),
    Neutral("llama.use_parallel_residual", (0.0,), "attention and feed-forward would be parallel"),
    Neutral("llama.swin_norm", (0.0,), "norms would follow the blocks"),
    Neutral("llama.rescale_every_n_layers", (0.0,), "the residual stream would be rescaled"),
    Neutral("llama.rope.scaling.attn_factor", (1.0,), "attention would be scaled"),
    Neutral("llama.rope.scaling.yarn_attn_factor", (1.0,), "attention would be scaled"),
    Neutral("llama.rope.scaling.yarn_ext_factor", (0.0, -1.0), "positions would be scaled"),
    Neutral("llama.rope.scaling.alpha", (0.0, 1.0), "positions would be scaled"),
    # A part may look whole: without its output head, a model has that of its embedding.
    Neutral("split.count", (0.0, 1.0), "the rest of the model is in other files"),
)

#: A tensor of factors that divide the rotation's frequencies; without effect when all are 1.
FREQUENCY_FACTORS: Final = "rope_freqs.weight"
