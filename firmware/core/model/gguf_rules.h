/* Written by `make docs` from shared/edgeprof/shared/models/rules.py; edit there.
 *
 * Limits of a GGUF, and the metadata keys that a board looks at: every other key changes nothing.
 *   WHOLE(id, key, low, high)     an integer of any width, limits included
 *   REAL(id, key, low, high)      a number of any type, limits excluded
 *   NEUTRAL(id, key, this, that)  a number that has one of these two values in a plain llama
 *   OTHER(id, key)                has a rule of its own in gguf_hparams.c */
#ifndef TLEP_GGUF_RULES_H
#define TLEP_GGUF_RULES_H

enum {
    TLEP_GGUF_MAX_KV = 1024,
    TLEP_GGUF_MAX_TENSORS = 1024,
    TLEP_GGUF_MAX_KEY_BYTES = 256,
    TLEP_GGUF_MAX_NAME_BYTES = 64,
    TLEP_GGUF_MAX_STRING_BYTES = 1048576,
    TLEP_GGUF_MAX_ARRAY = 1048576,
    TLEP_GGUF_MAX_ITEMS = 4194304,
};
#define TLEP_GGUF_DEFAULT_FREQ_BASE 10000.0f
#define TLEP_GGUF_SCALE_TOLERANCE 1e-06f
#define TLEP_GGUF_FREQ_FACTORS "rope_freqs.weight"

#define TLEP_GGUF_KEYS(WHOLE, REAL, NEUTRAL, OTHER) \
    WHOLE(ALIGNMENT, "general.alignment", 8, 4096) \
    WHOLE(CONTEXT_LENGTH, "llama.context_length", 1, 1048576) \
    WHOLE(EMBEDDING_LENGTH, "llama.embedding_length", 1, 16384) \
    WHOLE(FEED_FORWARD_LENGTH, "llama.feed_forward_length", 1, 65536) \
    WHOLE(BLOCK_COUNT, "llama.block_count", 1, 256) \
    WHOLE(ATTENTION_HEAD_COUNT, "llama.attention.head_count", 1, 256) \
    WHOLE(ATTENTION_HEAD_COUNT_KV, "llama.attention.head_count_kv", 1, 256) \
    WHOLE(ATTENTION_KEY_LENGTH, "llama.attention.key_length", 1, 16384) \
    WHOLE(ATTENTION_VALUE_LENGTH, "llama.attention.value_length", 1, 16384) \
    WHOLE(ROPE_DIMENSION_COUNT, "llama.rope.dimension_count", 1, 16384) \
    WHOLE(VOCAB_SIZE, "llama.vocab_size", 1, 1048576) \
    REAL(ATTENTION_LAYER_NORM_RMS_EPSILON, "llama.attention.layer_norm_rms_epsilon", 0.0f, 1.0f) \
    REAL(ROPE_FREQ_BASE, "llama.rope.freq_base", 1.0f, 1000000000.0f) \
    NEUTRAL(ROPE_SCALING_FACTOR, "llama.rope.scaling.factor", 0.0f, 1.0f) \
    NEUTRAL(ROPE_SCALE_LINEAR, "llama.rope.scale_linear", 0.0f, 1.0f) \
    NEUTRAL(EXPERT_COUNT, "llama.expert_count", 0.0f, 0.0f) \
    NEUTRAL(EXPERT_USED_COUNT, "llama.expert_used_count", 0.0f, 0.0f) \
    NEUTRAL(EXPERT_SHARED_COUNT, "llama.expert_shared_count", 0.0f, 0.0f) \
    NEUTRAL(ATTENTION_CAUSAL, "llama.attention.causal", 1.0f, 1.0f) \
    NEUTRAL(ATTENTION_CLAMP_KQV, "llama.attention.clamp_kqv", 0.0f, 0.0f) \
    NEUTRAL(ATTENTION_MAX_ALIBI_BIAS, "llama.attention.max_alibi_bias", 0.0f, 0.0f) \
    NEUTRAL(ATTENTION_OUTPUT_SCALE, "llama.attention.output_scale", 0.0f, 1.0f) \
    NEUTRAL(ATTENTION_TEMPERATURE_SCALE, "llama.attention.temperature_scale", 0.0f, 0.0f) \
    NEUTRAL(ATTN_LOGIT_SOFTCAPPING, "llama.attn_logit_softcapping", 0.0f, 50.0f) \
    NEUTRAL(FINAL_LOGIT_SOFTCAPPING, "llama.final_logit_softcapping", 0.0f, 30.0f) \
    NEUTRAL(LOGIT_SCALE, "llama.logit_scale", 0.0f, 1.0f) \
    NEUTRAL(RESIDUAL_SCALE, "llama.residual_scale", 0.0f, 1.0f) \
    NEUTRAL(EMBEDDING_SCALE, "llama.embedding_scale", 0.0f, 1.0f) \
    NEUTRAL(USE_PARALLEL_RESIDUAL, "llama.use_parallel_residual", 0.0f, 0.0f) \
    NEUTRAL(SWIN_NORM, "llama.swin_norm", 0.0f, 0.0f) \
    NEUTRAL(RESCALE_EVERY_N_LAYERS, "llama.rescale_every_n_layers", 0.0f, 0.0f) \
    NEUTRAL(ROPE_SCALING_ATTN_FACTOR, "llama.rope.scaling.attn_factor", 1.0f, 1.0f) \
    NEUTRAL(ROPE_SCALING_YARN_ATTN_FACTOR, "llama.rope.scaling.yarn_attn_factor", 1.0f, 1.0f) \
    NEUTRAL(ROPE_SCALING_YARN_EXT_FACTOR, "llama.rope.scaling.yarn_ext_factor", 0.0f, -1.0f) \
    NEUTRAL(ROPE_SCALING_ALPHA, "llama.rope.scaling.alpha", 0.0f, 1.0f) \
    NEUTRAL(SPLIT_COUNT, "split.count", 0.0f, 1.0f) \
    OTHER(ARCHITECTURE, "general.architecture") \
    OTHER(ROPE_SCALING_TYPE, "llama.rope.scaling.type") \
    OTHER(ATTENTION_SLIDING_WINDOW, "llama.attention.sliding_window") \
    OTHER(ATTENTION_SCALE, "llama.attention.scale")

#endif
