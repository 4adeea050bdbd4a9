#include "model/gguf.h"

#include <string.h>

const uint8_t tlep_types[TLEP_N_TYPES] = {TLEP_TYPE_F32, TLEP_TYPE_F16, TLEP_TYPE_Q4_0, TLEP_TYPE_Q8_0,
                                          TLEP_TYPE_TQ2_0};

uint32_t tlep_type_block(uint32_t type)
{
    switch (type) {
    case TLEP_TYPE_F32:
    case TLEP_TYPE_F16: return 1;
    case TLEP_TYPE_Q4_0:
    case TLEP_TYPE_Q8_0: return 32;
    case TLEP_TYPE_TQ2_0: return 256;
    default: return 0;
    }
}

uint32_t tlep_type_bytes(uint32_t type)
{
    switch (type) {
    case TLEP_TYPE_F32: return 4;
    case TLEP_TYPE_F16: return 2;
    case TLEP_TYPE_Q4_0: return 18;  /* f16 scale, 16 bytes of nibbles */
    case TLEP_TYPE_Q8_0: return 34;  /* f16 scale, 32 bytes */
    case TLEP_TYPE_TQ2_0: return 66; /* 64 bytes of 2-bit values, f16 scale */
    default: return 0;
    }
}

uint32_t tlep_row_bytes(uint32_t type, uint32_t n)
{
    uint32_t block = tlep_type_block(type);
    return block ? n / block * tlep_type_bytes(type) : 0;
}

/* ---- Bytes ---------------------------------------------------------------------------------------- */

/* A reading position that never passes the end: `ok` turns false instead, and stays so. */
typedef struct {
    const uint8_t *data;
    uint32_t size;
    uint32_t at;
    bool ok;
} cursor;

static const uint8_t *take(cursor *c, uint64_t n)
{
    if (!c->ok || n > c->size - c->at) {
        c->ok = false;
        return NULL;
    }
    const uint8_t *p = c->data + c->at;
    c->at += (uint32_t)n;
    return p;
}

static uint64_t take_uint(cursor *c, uint32_t bytes)
{
    const uint8_t *p = take(c, bytes);
    uint64_t value = 0;
    for (uint32_t i = 0; p && i < bytes; i++) {
        value |= (uint64_t)p[i] << (8 * i);
    }
    return value;
}

static uint32_t take_u32(cursor *c)
{
    return (uint32_t)take_uint(c, 4);
}

static const uint8_t *take_string(cursor *c, uint64_t *bytes)
{
    *bytes = take_uint(c, 8);
    return take(c, *bytes);
}

/* ---- Metadata values ------------------------------------------------------------------------------ */

typedef enum {
    KV_U8, KV_I8, KV_U16, KV_I16, KV_U32, KV_I32, KV_F32, KV_BOOL, KV_STRING, KV_ARRAY, KV_U64, KV_I64, KV_F64
} kv_value_type;

/* Bytes of a scalar; 0 for strings, arrays and what does not exist. */
static uint32_t scalar_bytes(uint32_t type)
{
    static const uint8_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return type < sizeof bytes ? bytes[type] : 0;
}

static bool skip_string(cursor *c)
{
    uint64_t bytes;
    (void)take_string(c, &bytes);
    return bytes <= TLEP_GGUF_MAX_STRING_BYTES;
}

/* Step over a value. False if it is malformed; running off the end shows in c->ok. */
static bool skip_value(cursor *c, uint32_t type, uint32_t *items_left)
{
    if (type == KV_STRING) {
        return skip_string(c);
    }
    if (type != KV_ARRAY) {
        (void)take(c, scalar_bytes(type));
        return scalar_bytes(type) != 0;
    }
    uint32_t element = take_u32(c);
    uint64_t count = take_uint(c, 8);
    if (!c->ok) {
        return true;
    }
    if (count > TLEP_GGUF_MAX_ARRAY || count > *items_left || (element != KV_STRING && !scalar_bytes(element))) {
        return false; /* arrays of arrays too: no llama has them, and they would need a stack */
    }
    *items_left -= (uint32_t)count;
    if (element != KV_STRING) {
        (void)take(c, count * scalar_bytes(element));
        return true;
    }
    while (count-- && c->ok) {
        if (!skip_string(c)) {
            return false;
        }
    }
    return true;
}

static bool same(const uint8_t *text, uint64_t bytes, const char *literal)
{
    return bytes == strlen(literal) && memcmp(text, literal, (size_t)bytes) == 0;
}

/* ---- Keys ----------------------------------------------------------------------------------------- */

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

/* The rule of a key; TLEP_N_KEYS for one that nothing here reads. */
static uint32_t rule_of(const uint8_t *name, uint64_t bytes)
{
    uint32_t key = 0;
    while (key < TLEP_N_KEYS && !(RULES[key].bytes == bytes && memcmp(RULES[key].name, name, (size_t)bytes) == 0)) {
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
    } else if (type == KV_BOOL) {
        n->real = bits ? 1.0f : 0.0f;
    } else {
        bool has_sign = type == KV_I8 || type == KV_I16 || type == KV_I32 || type == KV_I64;
        uint64_t sign = (uint64_t)1 << (8 * bytes - 1) % 64;
        if (has_sign && (bits & sign)) {
            n->real = -(float)(sign - (bits & (sign - 1)));
        } else {
            n->real = (float)bits;
            n->whole = bits;
        }
    }
    return bytes != 0;
}

static uint32_t saturated(uint64_t n)
{
    return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static int refuse_key(tlep_key key, tlep_code code, uint64_t value, uint32_t limit, tlep_error *err)
{
    return tlep_fail(err, code, RULES[key].name, saturated(value), limit);
}

/* Read an integer key; `fallback` when absent (0: it is required). */
static int get_whole(const tlep_gguf *g, tlep_key key, uint32_t fallback, uint32_t *value, tlep_error *err)
{
    uint32_t type;
    cursor c;
    number n;
    *value = fallback;
    if (!find_value(g, key, &type, &c)) {
        return fallback ? TLEP_OK : refuse_key(key, TLEP_E_MISSING, 0, 0, err);
    }
    uint32_t high = (uint32_t)RULES[key].high;
    if (!take_number(&c, type, &n) || n.whole < (uint32_t)RULES[key].low || n.whole > high) {
        return refuse_key(key, TLEP_E_MALFORMED, n.whole, high, err);
    }
    *value = (uint32_t)n.whole;
    return TLEP_OK;
}

/* Read a number that need not be whole, strictly within its limits (NaN is not); `fallback` likewise. */
static int get_real(const tlep_gguf *g, tlep_key key, float fallback, float *value, tlep_error *err)
{
    uint32_t type;
    cursor c;
    number n;
    *value = fallback;
    if (!find_value(g, key, &type, &c)) {
        return fallback > 0.0f ? TLEP_OK : refuse_key(key, TLEP_E_MISSING, 0, 0, err);
    }
    if (!take_number(&c, type, &n) || type == KV_BOOL || !(n.real > RULES[key].low && n.real < RULES[key].high)) {
        return refuse_key(key, TLEP_E_MALFORMED, type, 0, err);
    }
    *value = n.real;
    return TLEP_OK;
}

/* ---- Hyperparameters ------------------------------------------------------------------------------ */

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
    return refuse_key(TLEP_KEY_ROPE_SCALING_TYPE, TLEP_E_ARCHITECTURE, 0, 0, err);
}

/* Refuse what this forward pass does not compute: a wrong answer is not a fast answer. */
static int check_plain_llama(const tlep_gguf *g, tlep_error *err)
{
    uint32_t type;
    cursor c;
    uint64_t bytes;
    if (!find_value(g, TLEP_KEY_ARCHITECTURE, &type, &c)) {
        return refuse_key(TLEP_KEY_ARCHITECTURE, TLEP_E_MISSING, 0, 0, err);
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
            e = refuse_key(key, TLEP_E_ARCHITECTURE, n.whole, 0, err);
        }
    }
    return e;
}

/* Attention as this forward pass computes it: over all positions, scaled by the root of a head's width. */
static int check_attention(const tlep_gguf *g, tlep_error *err)
{
    const tlep_hparams *h = &g->hparams;
    uint32_t type;
    cursor c;
    number n;
    if (find_value(g, TLEP_KEY_ATTENTION_SLIDING_WINDOW, &type, &c) &&
        (!take_number(&c, type, &n) || (n.real != 0.0f && !(n.real >= (float)h->n_ctx)))) {
        return refuse_key(TLEP_KEY_ATTENTION_SLIDING_WINDOW, TLEP_E_ARCHITECTURE, n.whole, h->n_ctx, err);
    }
    if (find_value(g, TLEP_KEY_ATTENTION_SCALE, &type, &c)) {
        bool is_number = take_number(&c, type, &n);
        float off = n.real * n.real * (float)h->head_dim - 1.0f;
        bool is_root = n.real > 0.0f && off <= TLEP_GGUF_SCALE_TOLERANCE && off >= -TLEP_GGUF_SCALE_TOLERANCE;
        if (!is_number || (n.real != 0.0f && !is_root)) {
            return refuse_key(TLEP_KEY_ATTENTION_SCALE, TLEP_E_ARCHITECTURE, n.whole, 0, err);
        }
    }
    return TLEP_OK;
}

static int read_hparams(tlep_gguf *g, tlep_error *err)
{
    tlep_hparams *h = &g->hparams;
    tlep_tensor embd;
    uint32_t key_length;
    uint32_t value_length;
    uint32_t n_vocab;
    int e;
    if ((e = check_plain_llama(g, err)) || (e = get_whole(g, TLEP_KEY_CONTEXT_LENGTH, 0, &h->n_ctx, err)) ||
        (e = get_whole(g, TLEP_KEY_EMBEDDING_LENGTH, 0, &h->dim, err)) ||
        (e = get_whole(g, TLEP_KEY_FEED_FORWARD_LENGTH, 0, &h->hidden, err)) ||
        (e = get_whole(g, TLEP_KEY_BLOCK_COUNT, 0, &h->n_layers, err)) ||
        (e = get_whole(g, TLEP_KEY_ATTENTION_HEAD_COUNT, 0, &h->n_heads, err)) ||
        (e = get_whole(g, TLEP_KEY_ATTENTION_HEAD_COUNT_KV, h->n_heads, &h->n_heads_kv, err)) ||
        (e = get_real(g, TLEP_KEY_ATTENTION_LAYER_NORM_RMS_EPSILON, 0.0f, &h->rms_eps, err)) ||
        (e = get_real(g, TLEP_KEY_ROPE_FREQ_BASE, TLEP_GGUF_DEFAULT_FREQ_BASE, &h->rope_base, err))) {
        return e;
    }
    if (h->dim % h->n_heads || h->n_heads % h->n_heads_kv) {
        return tlep_fail(err, TLEP_E_MALFORMED, "embedding length and head counts do not divide", h->dim, h->n_heads);
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
        return refuse_key(TLEP_KEY_ATTENTION_KEY_LENGTH, TLEP_E_ARCHITECTURE, key_length, h->head_dim, err);
    }
    if (value_length != h->head_dim) {
        return refuse_key(TLEP_KEY_ATTENTION_VALUE_LENGTH, TLEP_E_ARCHITECTURE, value_length, h->head_dim, err);
    }
    if (h->rope_dim % 2 || h->rope_dim > h->head_dim) {
        return refuse_key(TLEP_KEY_ROPE_DIMENSION_COUNT, TLEP_E_MALFORMED, h->rope_dim, h->head_dim, err);
    }
    if (!tlep_gguf_tensor(g, "token_embd.weight", &embd)) {
        return tlep_fail(err, TLEP_E_MISSING, "token_embd.weight", 0, 0);
    }
    h->n_vocab = embd.ne[1];
    if (h->n_vocab > TLEP_GGUF_MAX_ARRAY) {
        return tlep_fail(err, TLEP_E_MALFORMED, "token_embd.weight", h->n_vocab, TLEP_GGUF_MAX_ARRAY);
    }
    if ((e = get_whole(g, TLEP_KEY_VOCAB_SIZE, h->n_vocab, &n_vocab, err))) {
        return e;
    }
    return n_vocab == h->n_vocab ? TLEP_OK
                                 : refuse_key(TLEP_KEY_VOCAB_SIZE, TLEP_E_MALFORMED, n_vocab, h->n_vocab, err);
}

/* ---- Tensors -------------------------------------------------------------------------------------- */

/* Read one tensor info; `offset` is left relative to the data section, as the file has it. Returns
 * TLEP_OK, or a code with *err filled; running off the end shows in c->ok. */
static int take_info(cursor *c, tlep_tensor *t, uint64_t *offset, uint64_t *elements, tlep_error *err)
{
    uint64_t name_bytes;
    t->name = take_string(c, &name_bytes);
    t->n_dims = take_u32(c);
    if (!c->ok) {
        return TLEP_OK;
    }
    if (name_bytes == 0 || name_bytes > TLEP_GGUF_MAX_NAME_BYTES) {
        return tlep_fail(err, TLEP_E_MALFORMED, "length of a tensor name",
                         name_bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)name_bytes, TLEP_GGUF_MAX_NAME_BYTES);
    }
    t->name_bytes = (uint32_t)name_bytes;
    if (t->n_dims == 0 || t->n_dims > 4) {
        return tlep_fail(err, TLEP_E_MALFORMED, "number of tensor dimensions", t->n_dims, 4);
    }
    *elements = 1;
    for (uint32_t d = 0; d < 4; d++) {
        uint64_t ne = d < t->n_dims ? take_uint(c, 8) : 1;
        if (!c->ok) {
            return TLEP_OK;
        }
        /* Each product stays under 2^32 elements, so under 2^34 bytes: nothing wraps in 64 bits. */
        if (ne == 0 || ne > UINT32_MAX || *elements * ne > UINT32_MAX) {
            return tlep_fail(err, TLEP_E_MALFORMED, "tensor dimensions", d, 0);
        }
        t->ne[d] = (uint32_t)ne;
        *elements *= ne;
    }
    uint32_t type = take_u32(c);
    *offset = take_uint(c, 8);
    if (!c->ok) {
        return TLEP_OK;
    }
    uint32_t block = tlep_type_block(type);
    if (!block) {
        return tlep_fail(err, TLEP_E_TENSOR_TYPE, "no kernel for this tensor type", type, 0);
    }
    if (t->ne[0] % block) {
        return tlep_fail(err, TLEP_E_MALFORMED, "tensor row is not a whole number of blocks", t->ne[0], block);
    }
    t->type = (tlep_type)type;
    uint64_t bytes = *elements / block * tlep_type_bytes(type);
    if (bytes > UINT32_MAX) {
        c->ok = false;
        return TLEP_OK;
    }
    t->bytes = (uint32_t)bytes;
    return TLEP_OK;
}

bool tlep_gguf_tensor(const tlep_gguf *g, const char *name, tlep_tensor *t)
{
    cursor c = {g->data, g->size, g->infos_at, true};
    uint64_t offset = 0;
    uint64_t elements;
    tlep_error ignored;
    for (uint32_t i = 0; i < g->n_tensors; i++) {
        (void)take_info(&c, t, &offset, &elements, &ignored); /* checked when the file was opened */
        if (same(t->name, t->name_bytes, name)) {
            t->offset = g->data_at + (uint32_t)offset;
            return true;
        }
    }
    return false;
}

/* ---- The file ------------------------------------------------------------------------------------- */

static int truncated(tlep_error *err, uint32_t size)
{
    return tlep_fail(err, TLEP_E_TRUNCATED, "the file ends before what it announces", 0, size);
}

static bool is_ascii(const uint8_t *text, uint64_t bytes)
{
    while (bytes && text[bytes - 1] < 0x80) {
        bytes--;
    }
    return bytes == 0;
}

/* Walk the metadata once: every value well-formed, and those that are read here known by their place. */
static int walk_metadata(tlep_gguf *g, cursor *c, tlep_error *err)
{
    uint32_t items_left = TLEP_GGUF_MAX_ITEMS;
    for (uint32_t i = 0; i < g->n_kv; i++) {
        uint64_t bytes;
        const uint8_t *name = take_string(c, &bytes);
        uint32_t at = c->at;
        uint32_t type = take_u32(c);
        if (!c->ok) {
            return truncated(err, g->size);
        }
        if (bytes == 0 || bytes > TLEP_GGUF_MAX_KEY_BYTES || !is_ascii(name, bytes) ||
            !skip_value(c, type, &items_left)) {
            return tlep_fail(err, TLEP_E_MALFORMED, "metadata key or value", i, type);
        }
        if (!c->ok) {
            return truncated(err, g->size);
        }
        uint32_t key = rule_of(name, bytes);
        if (key < TLEP_N_KEYS) {
            if (g->value_at[key]) {
                return refuse_key(key, TLEP_E_MALFORMED, i, 0, err);
            }
            g->value_at[key] = at;
        }
    }
    return TLEP_OK;
}

static int read_alignment(const tlep_gguf *g, uint32_t *alignment, tlep_error *err)
{
    int e = get_whole(g, TLEP_KEY_ALIGNMENT, 32, alignment, err);
    if (!e && (*alignment & (*alignment - 1))) {
        return refuse_key(TLEP_KEY_ALIGNMENT, TLEP_E_MALFORMED, *alignment, 0, err);
    }
    return e;
}

/* Whether one of the first `n` tensors has bytes in [offset, offset + bytes). */
static bool overlaps(const tlep_gguf *g, uint32_t n, uint64_t offset, uint32_t bytes)
{
    cursor c = {g->data, g->size, g->infos_at, true};
    tlep_tensor t;
    uint64_t at;
    uint64_t elements;
    tlep_error ignored;
    while (n--) {
        (void)take_info(&c, &t, &at, &elements, &ignored);
        if (at < offset + bytes && offset < at + t.bytes) {
            return true;
        }
    }
    return false;
}

/* Walk the tensor infos twice: where the data section starts is known only after the last of them. */
static int walk_tensors(tlep_gguf *g, cursor *c, uint32_t alignment, tlep_error *err)
{
    g->infos_at = c->at;
    for (int pass = 0; pass < 2; pass++) {
        c->at = g->infos_at;
        g->parameters = 0;
        uint64_t end = 0;
        for (uint32_t i = 0; i < g->n_tensors; i++) {
            tlep_tensor t;
            uint64_t offset;
            uint64_t elements;
            int e = take_info(c, &t, &offset, &elements, err);
            if (e || !c->ok) {
                return e ? e : truncated(err, g->size);
            }
            g->parameters += elements;
            if (offset % alignment) {
                return tlep_fail(err, TLEP_E_MALFORMED, "tensor offset is not aligned", i, alignment);
            }
            if (pass == 1 && (offset > g->size - g->data_at || t.bytes > g->size - g->data_at - offset)) {
                return truncated(err, g->size);
            }
            /* Writers put tensors one behind the other: only others are compared with all that came before. */
            if (pass == 1 && offset < end && overlaps(g, i, offset, t.bytes)) {
                return tlep_fail(err, TLEP_E_MALFORMED, "tensors overlap", i, 0);
            }
            end = offset + t.bytes > end ? offset + t.bytes : end;
        }
        uint64_t data_at = ((uint64_t)c->at + alignment - 1) / alignment * alignment;
        if (data_at > g->size) {
            return truncated(err, g->size);
        }
        g->data_at = (uint32_t)data_at;
    }
    return TLEP_OK;
}

int tlep_gguf_open(tlep_gguf *g, const uint8_t *data, uint32_t size, tlep_error *err)
{
    if ((uintptr_t)data % 4) {
        return tlep_fail(err, TLEP_E_INTERNAL, "the model's address is not a multiple of 4", 0, 4);
    }
    memset(g, 0, sizeof *g);
    g->data = data;
    g->size = size;
    cursor c = {data, size, 0, true};
    const uint8_t *magic = take(&c, 4);
    if (!magic || memcmp(magic, "GGUF", 4) != 0) {
        return tlep_fail(err, TLEP_E_NOT_GGUF, "the file does not start with GGUF", 0, 0);
    }
    uint32_t version = take_u32(&c);
    uint64_t n_tensors = take_uint(&c, 8);
    uint64_t n_kv = take_uint(&c, 8);
    if (!c.ok) {
        return truncated(err, size);
    }
    if (version != 2 && version != 3) { /* they differ in big-endian files only: 3 << 24 here */
        return tlep_fail(err, TLEP_E_NOT_GGUF, "GGUF version is neither 2 nor 3", version, 3);
    }
    if (n_tensors > TLEP_GGUF_MAX_TENSORS || n_kv > TLEP_GGUF_MAX_KV) {
        return tlep_fail(err, TLEP_E_MALFORMED, "too many tensors or metadata keys", 0, 0);
    }
    g->n_tensors = (uint32_t)n_tensors;
    g->n_kv = (uint32_t)n_kv;
    uint32_t alignment;
    int e;
    if ((e = walk_metadata(g, &c, err)) || (e = read_alignment(g, &alignment, err)) ||
        (e = walk_tensors(g, &c, alignment, err))) {
        return e;
    }
    return read_hparams(g, err);
}
