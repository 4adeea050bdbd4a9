#include "model/gguf_hparams.h"

#include <string.h>

#include "model/gguf_cursor.h"

/* ---- Keys ------------------------------------------------------------------------------------ */

typedef struct {
    const char *name;
    uint8_t bytes;
    float low; /* of a number, and of a neutral key one of its two values */
    float high;
} key_rule;

#define RANGE(id, key, low, high) {(key), sizeof(key) - 1, low, high},
#define NO_RANGE(id, key) {(key), sizeof(key) - 1, 0.0f, 0.0f},
static const key_rule RULES[TLEP_N_KEYS] = {TLEP_GGUF_KEYS(RANGE, RANGE, RANGE, NO_RANGE)};

#define NOT_LISTED(...)
#define LISTED(id, ...) TLEP_KEY_##id,
static const uint8_t NEUTRALS[] = {TLEP_GGUF_KEYS(NOT_LISTED, NOT_LISTED, LISTED, NOT_LISTED)};

uint32_t tlep_gguf_key_of(const uint8_t *name, uint64_t bytes)
{
    uint32_t key = 0;
    while (key < TLEP_N_KEYS &&
           !(RULES[key].bytes == bytes && memcmp(RULES[key].name, name, (size_t)bytes) == 0)) {
        key++;
    }
    return key;
}

/* Position a cursor on the value of `key`. False if there is no such key. */
static bool find_value(const tlep_gguf *g, tlep_key key, uint32_t *type, cursor *c)
{
    *c = (cursor){g->data, g->size, g->value_at[key], true};
    *type = g->value_at[key] ? take_u32(c) : 0;
    return g->value_at[key] != 0;
}

/* A scalar, whatever its type. */
typedef struct {
    float real;     /* the nearest; a boolean is 0 or 1 */
    uint64_t whole; /* of an integer that is not negative; UINT64_MAX for everything else */
} number;

static bool take_number(cursor *c, uint32_t type, number *n)
{
    uint32_t bytes = scalar_bytes(type);
    uint64_t bits = take_uint(c, bytes);
    n->whole = UINT64_MAX;
    if (type == KV_F64) {
        double wide;
        memcpy(&wide, &bits, sizeof wide);
        n->real = (float)wide;
    } else if (type == KV_F32) {
        uint32_t narrow = (uint32_t)bits;
        memcpy(&n->real, &narrow, sizeof n->real);
    } else {
        bool has_sign = type == KV_I8 || type == KV_I16 || type == KV_I32 || type == KV_I64;
        uint64_t sign = (uint64_t)1 << (8 * bytes - 1) % 64;
        if (has_sign && (bits & sign)) {
            n->real = -(float)(sign - (bits & (sign - 1)));
        } else {
            /* as an integer: Clang 22 for Xtensa fails on a choice of two floats */
            n->real = (float)(type == KV_BOOL ? bits != 0 : bits);
            n->whole = type == KV_BOOL ? UINT64_MAX : bits;
        }
    }
    return bytes != 0;
}

static uint32_t saturated(uint64_t n)
{
    return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

int tlep_gguf_refuse_key(tlep_key key, tlep_code code, uint64_t value, uint32_t limit,
                         tlep_error *err)
{
    return tlep_fail(err, code, RULES[key].name, saturated(value), limit);
}

/* Read an integer key; `fallback` when absent (0: it is required). */
static int get_whole(const tlep_gguf *g, tlep_key key, uint32_t fallback, uint32_t *value,
                     tlep_error *err)
{
    uint32_t type;
    cursor c;
    number n;
    *value = fallback;
    if (!find_value(g, key, &type, &c)) {
        return fallback ? TLEP_OK : tlep_gguf_refuse_key(key, TLEP_E_MISSING, 0, 0, err);
    }
    uint32_t high = (uint32_t)RULES[key].high;
    if (!take_number(&c, type, &n) || n.whole < (uint32_t)RULES[key].low || n.whole > high) {
        return tlep_gguf_refuse_key(key, TLEP_E_MALFORMED, n.whole, high, err);
    }
    *value = (uint32_t)n.whole;
    return TLEP_OK;
}

/* Read a number that need not be whole, strictly within its limits (NaN is not); `fallback`
 * likewise. */
static int get_real(const tlep_gguf *g, tlep_key key, float fallback, float *value, tlep_error *err)
{
    uint32_t type;
    cursor c;
    number n;
    *value = fallback;
    if (!find_value(g, key, &type, &c)) {
        return fallback > 0.0f ? TLEP_OK : tlep_gguf_refuse_key(key, TLEP_E_MISSING, 0, 0, err);
    }
    if (!take_number(&c, type, &n) || type == KV_BOOL ||
        !(n.real > RULES[key].low && n.real < RULES[key].high)) {
        return tlep_gguf_refuse_key(key, TLEP_E_MALFORMED, type, 0, err);
    }
    *value = n.real;
    return TLEP_OK;
}

int tlep_gguf_alignment(const tlep_gguf *g, uint32_t *alignment, tlep_error *err)
{
    int e = get_whole(g, TLEP_KEY_ALIGNMENT, 32, alignment, err);
    if (!e && (*alignment & (*alignment - 1))) {
        return tlep_gguf_refuse_key(TLEP_KEY_ALIGNMENT, TLEP_E_MALFORMED, *alignment, 0, err);
    }
    return e;
}

/* ---- Hyperparameters ------------------------------------------------------------------------- */

/* Whether positions are left as they are, whatever factors are there. */
static int read_scaling_type(const tlep_gguf *g, bool *is_none, tlep_error *err)
{
    uint32_t type;
    cursor c;
    uint64_t bytes;
    *is_none = false;
    if (!find_value(g, TLEP_KEY_ROPE_SCALING_TYPE, &type, &c)) {
        return TLEP_OK;
    }
    const uint8_t *text = type == KV_STRING ? take_string(&c, &bytes) : NULL;
    *is_none = text && same(text, bytes, "none");
    if (*is_none || (text && same(text, bytes, "linear"))) {
        return TLEP_OK;
    }
    return tlep_gguf_refuse_key(TLEP_KEY_ROPE_SCALING_TYPE, TLEP_E_ARCHITECTURE, 0, 0, err);
}

/* Refuse what this forward pass does not compute: a wrong answer is not a fast answer. */
static int check_plain_llama(const tlep_gguf *g, tlep_error *err)
{
    uint32_t type;
    cursor c;
    uint64_t bytes;
    if (!find_value(g, TLEP_KEY_ARCHITECTURE, &type, &c)) {
        return tlep_gguf_refuse_key(TLEP_KEY_ARCHITECTURE, TLEP_E_MISSING, 0, 0, err);
    }
    const uint8_t *text = type == KV_STRING ? take_string(&c, &bytes) : NULL;
    if (!text || !same(text, bytes, "llama")) {
        return tlep_fail(err, TLEP_E_ARCHITECTURE, "general.architecture is not llama", 0, 0);
    }
    bool unscaled;
    int e = read_scaling_type(g, &unscaled, err);
    for (uint32_t i = 0; !e && i < sizeof NEUTRALS; i++) {
        tlep_key key = NEUTRALS[i];
        number n;
        bool is_factor = key == TLEP_KEY_ROPE_SCALING_FACTOR || key == TLEP_KEY_ROPE_SCALE_LINEAR;
        if ((unscaled && is_factor) || !find_value(g, key, &type, &c)) {
            continue;
        }
        if (!take_number(&c, type, &n) || (n.real != RULES[key].low && n.real != RULES[key].high)) {
            e = tlep_gguf_refuse_key(key, TLEP_E_ARCHITECTURE, n.whole, 0, err);
        }
    }
    return e;
}

/* Attention as this forward pass computes it: over all positions, scaled by the root of a head's
 * width. */
static int check_attention(const tlep_gguf *g, tlep_error *err)
{
    const tlep_hparams *h = &g->hparams;
    uint32_t type;
    cursor c;
    number n;
    if (find_value(g, TLEP_KEY_ATTENTION_SLIDING_WINDOW, &type, &c) &&
        (!take_number(&c, type, &n) || (n.real != 0.0f && !(n.real >= (float)h->n_ctx)))) {
        return tlep_gguf_refuse_key(TLEP_KEY_ATTENTION_SLIDING_WINDOW, TLEP_E_ARCHITECTURE, n.whole,
                                    h->n_ctx, err);
    }
    if (find_value(g, TLEP_KEY_ATTENTION_SCALE, &type, &c)) {
        bool is_number = take_number(&c, type, &n);
        float off = n.real * n.real * (float)h->head_dim - 1.0f;
        bool is_root =
            n.real > 0.0f && off <= TLEP_GGUF_SCALE_TOLERANCE && off >= -TLEP_GGUF_SCALE_TOLERANCE;
        if (!is_number || (n.real != 0.0f && !is_root)) {
            return tlep_gguf_refuse_key(TLEP_KEY_ATTENTION_SCALE, TLEP_E_ARCHITECTURE, n.whole, 0,
                                        err);
        }
    }
    return TLEP_OK;
}

int tlep_gguf_read_hparams(tlep_gguf *g, tlep_error *err)
{
    tlep_hparams *h = &g->hparams;
    tlep_tensor embd;
    uint32_t key_length;
    uint32_t value_length;
    uint32_t n_vocab;
    int e;
    if ((e = check_plain_llama(g, err)) ||
        (e = get_whole(g, TLEP_KEY_CONTEXT_LENGTH, 0, &h->n_ctx, err)) ||
        (e = get_whole(g, TLEP_KEY_EMBEDDING_LENGTH, 0, &h->dim, err)) ||
        (e = get_whole(g, TLEP_KEY_FEED_FORWARD_LENGTH, 0, &h->hidden, err)) ||
        (e = get_whole(g, TLEP_KEY_BLOCK_COUNT, 0, &h->n_layers, err)) ||
        (e = get_whole(g, TLEP_KEY_ATTENTION_HEAD_COUNT, 0, &h->n_heads, err)) ||
        (e = get_whole(g, TLEP_KEY_ATTENTION_HEAD_COUNT_KV, h->n_heads, &h->n_heads_kv, err)) ||
        (e = get_real(g, TLEP_KEY_ATTENTION_LAYER_NORM_RMS_EPSILON, 0.0f, &h->rms_eps, err)) ||
        (e = get_real(g, TLEP_KEY_ROPE_FREQ_BASE, TLEP_GGUF_DEFAULT_FREQ_BASE, &h->rope_base,
                      err))) {
        return e;
    }
    if (h->dim % h->n_heads || h->n_heads % h->n_heads_kv) {
        return tlep_fail(err, TLEP_E_MALFORMED, "embedding length and head counts do not divide",
                         h->dim, h->n_heads);
    }
    h->head_dim = h->dim / h->n_heads;
    /* Pairs are rotated, and rows of halves in the cache stay aligned. */
    if (h->head_dim % 2) {
        return tlep_fail(err, TLEP_E_MALFORMED, "the width of a head is odd", h->head_dim, 0);
    }
    if ((e = get_whole(g, TLEP_KEY_ATTENTION_KEY_LENGTH, h->head_dim, &key_length, err)) ||
        (e = get_whole(g, TLEP_KEY_ATTENTION_VALUE_LENGTH, h->head_dim, &value_length, err)) ||
        (e = get_whole(g, TLEP_KEY_ROPE_DIMENSION_COUNT, h->head_dim, &h->rope_dim, err)) ||
        (e = check_attention(g, err))) {
        return e;
    }
    if (key_length != h->head_dim) {
        return tlep_gguf_refuse_key(TLEP_KEY_ATTENTION_KEY_LENGTH, TLEP_E_ARCHITECTURE, key_length,
                                    h->head_dim, err);
    }
    if (value_length != h->head_dim) {
        return tlep_gguf_refuse_key(TLEP_KEY_ATTENTION_VALUE_LENGTH, TLEP_E_ARCHITECTURE,
                                    value_length, h->head_dim, err);
    }
    if (h->rope_dim % 2 || h->rope_dim > h->head_dim) {
        return tlep_gguf_refuse_key(TLEP_KEY_ROPE_DIMENSION_COUNT, TLEP_E_MALFORMED, h->rope_dim,
                                    h->head_dim, err);
    }
    if (!tlep_gguf_tensor(g, "token_embd.weight", &embd)) {
        return tlep_fail(err, TLEP_E_MISSING, "token_embd.weight", 0, 0);
    }
    h->n_vocab = embd.ne[1];
    if (h->n_vocab > TLEP_GGUF_MAX_ARRAY) {
        return tlep_fail(err, TLEP_E_MALFORMED, "token_embd.weight", h->n_vocab,
                         TLEP_GGUF_MAX_ARRAY);
    }
    if ((e = get_whole(g, TLEP_KEY_VOCAB_SIZE, h->n_vocab, &n_vocab, err))) {
        return e;
    }
    return n_vocab == h->n_vocab ? TLEP_OK
                                 : tlep_gguf_refuse_key(TLEP_KEY_VOCAB_SIZE, TLEP_E_MALFORMED,
                                                        n_vocab, h->n_vocab, err);
}
