#include "gguf.h"

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

/* Step over a value. False if it is malformed; running off the end shows in c->ok. */
static bool skip_value(cursor *c, uint32_t type)
{
    uint64_t n;
    if (type == KV_STRING) {
        (void)take_string(c, &n);
        return true;
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
    if (count > TLEP_GGUF_MAX_ARRAY || (element != KV_STRING && !scalar_bytes(element))) {
        return false; /* arrays of arrays too: no llama has them, and they would need a stack */
    }
    if (element != KV_STRING) {
        (void)take(c, count * scalar_bytes(element));
        return true;
    }
    while (count-- && c->ok) {
        (void)take_string(c, &n);
    }
    return true;
}

static bool same(const uint8_t *text, uint64_t bytes, const char *literal)
{
    return bytes == strlen(literal) && memcmp(text, literal, (size_t)bytes) == 0;
}

/* Position a cursor on the value of `key`. False if there is no such key. */
static bool find_value(const tlep_gguf *g, const char *key, uint32_t *type, cursor *c)
{
    for (uint32_t i = 0; i < g->n_kv; i++) {
        *c = (cursor){g->data, g->size, g->kv_at[i], true};
        uint64_t bytes;
        const uint8_t *name = take_string(c, &bytes);
        if (same(name, bytes, key)) {
            *type = take_u32(c);
            return true;
        }
    }
    return false;
}

/* Read an integer key of any width within [low, high]; `fallback` when absent (0: it is required). */
static int get_uint(const tlep_gguf *g, const char *key, uint32_t fallback, uint32_t low, uint32_t high,
                    uint32_t *value, tlep_error *err)
{
    uint32_t type;
    cursor c;
    if (!find_value(g, key, &type, &c)) {
        *value = fallback;
        return fallback ? TLEP_OK : tlep_fail(err, TLEP_E_MISSING, key, 0, 0);
    }
    if (type == KV_F32 || type == KV_F64 || !scalar_bytes(type)) {
        return tlep_fail(err, TLEP_E_MALFORMED, key, type, 0);
    }
    uint64_t v = take_uint(&c, scalar_bytes(type)); /* a negative one is out of range either way */
    if (v < low || v > high) {
        return tlep_fail(err, TLEP_E_MALFORMED, key, v > UINT32_MAX ? UINT32_MAX : (uint32_t)v, high);
    }
    *value = (uint32_t)v;
    return TLEP_OK;
}

/* Read a float key strictly between `low` and `high` (NaN is not); `fallback` when absent (0: required). */
static int get_float(const tlep_gguf *g, const char *key, float fallback, float low, float high, float *value,
                     tlep_error *err)
{
    uint32_t type;
    cursor c;
    *value = fallback;
    if (!find_value(g, key, &type, &c)) {
        return fallback > 0.0f ? TLEP_OK : tlep_fail(err, TLEP_E_MISSING, key, 0, 0);
    }
    if (type != KV_F32) {
        return tlep_fail(err, TLEP_E_MALFORMED, key, type, 0);
    }
    uint32_t bits = take_u32(&c);
    memcpy(value, &bits, sizeof *value);
    if (!(*value > low && *value < high)) {
        return tlep_fail(err, TLEP_E_MALFORMED, key, bits, 0);
    }
    return TLEP_OK;
}

/* ---- Hyperparameters ------------------------------------------------------------------------------ */

/* Refuse what this forward pass does not compute: a wrong answer is not a fast answer. */
static int check_plain_llama(const tlep_gguf *g, tlep_error *err)
{
    uint32_t type;
    cursor c;
    uint64_t bytes;
    if (!find_value(g, "general.architecture", &type, &c)) {
        return tlep_fail(err, TLEP_E_MISSING, "general.architecture", 0, 0);
    }
    const uint8_t *text = type == KV_STRING ? take_string(&c, &bytes) : NULL;
    if (!text || !same(text, bytes, "llama")) {
        return tlep_fail(err, TLEP_E_ARCHITECTURE, "general.architecture is not llama", 0, 0);
    }
    if (find_value(g, "llama.rope.scaling.type", &type, &c)) {
        text = type == KV_STRING ? take_string(&c, &bytes) : NULL;
        if (!text || !same(text, bytes, "none")) {
            return tlep_fail(err, TLEP_E_ARCHITECTURE, "llama.rope.scaling is not supported", 0, 0);
        }
    }
    if (find_value(g, "llama.rope.scale_linear", &type, &c)) {
        return tlep_fail(err, TLEP_E_ARCHITECTURE, "llama.rope.scale_linear is not supported", 0, 0);
    }
    if (find_value(g, "llama.expert_count", &type, &c) && take_uint(&c, scalar_bytes(type)) != 0) {
        return tlep_fail(err, TLEP_E_ARCHITECTURE, "mixtures of experts are not supported", 0, 0);
    }
    return TLEP_OK;
}

static int read_hparams(tlep_gguf *g, tlep_error *err)
{
    tlep_hparams *h = &g->hparams;
    tlep_tensor embd;
    uint32_t n;
    int e;
    if ((e = check_plain_llama(g, err)) ||
        (e = get_uint(g, "llama.context_length", 0, 1, 1 << 20, &h->n_ctx, err)) ||
        (e = get_uint(g, "llama.embedding_length", 0, 1, 1 << 14, &h->dim, err)) ||
        (e = get_uint(g, "llama.feed_forward_length", 0, 1, 1 << 16, &h->hidden, err)) ||
        (e = get_uint(g, "llama.block_count", 0, 1, 256, &h->n_layers, err)) ||
        (e = get_uint(g, "llama.attention.head_count", 0, 1, 256, &h->n_heads, err)) ||
        (e = get_uint(g, "llama.attention.head_count_kv", h->n_heads, 1, h->n_heads, &h->n_heads_kv, err)) ||
        (e = get_float(g, "llama.attention.layer_norm_rms_epsilon", 0.0f, 0.0f, 1.0f, &h->rms_eps, err)) ||
        (e = get_float(g, "llama.rope.freq_base", 10000.0f, 1.0f, 1e9f, &h->rope_base, err))) {
        return e;
    }
    h->head_dim = h->dim / h->n_heads;
    /* Pairs are rotated, and rows of halves in the cache stay aligned: an even head. */
    if (h->dim % h->n_heads || h->n_heads % h->n_heads_kv || h->head_dim == 0 || h->head_dim % 2) {
        return tlep_fail(err, TLEP_E_MALFORMED, "embedding length and head counts do not divide", h->dim, h->n_heads);
    }
    /* Optional keys that repeat what the dimensions say must say the same. */
    if ((e = get_uint(g, "llama.attention.key_length", h->head_dim, h->head_dim, h->head_dim, &n, err)) ||
        (e = get_uint(g, "llama.attention.value_length", h->head_dim, h->head_dim, h->head_dim, &n, err)) ||
        (e = get_uint(g, "llama.rope.dimension_count", h->head_dim, 2, h->head_dim, &h->rope_dim, err))) {
        return e;
    }
    if (h->rope_dim % 2) {
        return tlep_fail(err, TLEP_E_MALFORMED, "llama.rope.dimension_count", h->rope_dim, h->head_dim);
    }
    if (!tlep_gguf_tensor(g, "token_embd.weight", &embd)) {
        return tlep_fail(err, TLEP_E_MISSING, "token_embd.weight", 0, 0);
    }
    h->n_vocab = embd.ne[1];
    if (h->n_vocab > TLEP_GGUF_MAX_ARRAY) {
        return tlep_fail(err, TLEP_E_MALFORMED, "token_embd.weight", h->n_vocab, TLEP_GGUF_MAX_ARRAY);
    }
    return get_uint(g, "llama.vocab_size", h->n_vocab, h->n_vocab, h->n_vocab, &n, err);
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

/* Walk the metadata once: every value well-formed, every key known by its offset and unique. */
static int walk_metadata(tlep_gguf *g, cursor *c, tlep_error *err)
{
    for (uint32_t i = 0; i < g->n_kv; i++) {
        uint64_t bytes;
        uint32_t at = c->at;
        const uint8_t *key = take_string(c, &bytes);
        uint32_t type = take_u32(c);
        if (!c->ok) {
            return truncated(err, g->size);
        }
        if (bytes == 0 || bytes > TLEP_GGUF_MAX_KEY_BYTES || !skip_value(c, type)) {
            return tlep_fail(err, TLEP_E_MALFORMED, "metadata key or value", i, type);
        }
        if (!c->ok) {
            return truncated(err, g->size);
        }
        for (uint32_t j = 0; j < i; j++) {
            cursor other = {g->data, g->size, g->kv_at[j], true};
            uint64_t other_bytes;
            const uint8_t *other_key = take_string(&other, &other_bytes);
            if (other_bytes == bytes && memcmp(other_key, key, (size_t)bytes) == 0) {
                return tlep_fail(err, TLEP_E_MALFORMED, "metadata key appears twice", i, j);
            }
        }
        g->kv_at[i] = at;
    }
    return TLEP_OK;
}

static int read_alignment(const tlep_gguf *g, uint32_t *alignment, tlep_error *err)
{
    int e = get_uint(g, "general.alignment", 32, 8, TLEP_GGUF_MAX_ALIGNMENT, alignment, err);
    if (!e && (*alignment & (*alignment - 1))) {
        return tlep_fail(err, TLEP_E_MALFORMED, "general.alignment", *alignment, TLEP_GGUF_MAX_ALIGNMENT);
    }
    return e;
}

/* Walk the tensor infos twice: where the data section starts is known only after the last of them. */
static int walk_tensors(tlep_gguf *g, cursor *c, uint32_t alignment, tlep_error *err)
{
    g->infos_at = c->at;
    for (int pass = 0; pass < 2; pass++) {
        c->at = g->infos_at;
        g->parameters = 0;
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
