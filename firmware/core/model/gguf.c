#include "model/gguf.h"

#include <string.h>

#include "model/gguf_cursor.h"
#include "model/gguf_hparams.h"

const uint8_t tlep_types[TLEP_N_TYPES] = {TLEP_TYPE_F32, TLEP_TYPE_F16, TLEP_TYPE_Q4_0,
                                          TLEP_TYPE_Q8_0, TLEP_TYPE_TQ2_0};

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

/* ---- Metadata values ------------------------------------------------------------------------- */

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
    if (count > TLEP_GGUF_MAX_ARRAY || count > *items_left ||
        (element != KV_STRING && !scalar_bytes(element))) {
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

/* ---- Tensors --------------------------------------------------------------------------------- */

/* Read one tensor info; `offset` is left relative to the data section, as the file has it. Returns
 * TLEP_OK, or a code with *err filled; running off the end shows in c->ok. */
static int take_info(cursor *c, tlep_tensor *t, uint64_t *offset, uint64_t *elements,
                     tlep_error *err)
{
    uint64_t name_bytes;
    t->name = take_string(c, &name_bytes);
    t->n_dims = take_u32(c);
    if (!c->ok) {
        return TLEP_OK;
    }
    if (name_bytes == 0 || name_bytes > TLEP_GGUF_MAX_NAME_BYTES) {
        return tlep_fail(err, TLEP_E_MALFORMED, "length of a tensor name",
                         name_bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)name_bytes,
                         TLEP_GGUF_MAX_NAME_BYTES);
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
        return tlep_fail(err, TLEP_E_MALFORMED, "tensor row is not a whole number of blocks",
                         t->ne[0], block);
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

/* ---- The file -------------------------------------------------------------------------------- */

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

/* Walk the metadata once: every value well-formed, and those that are read here known by their
 * place. */
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
        uint32_t key = tlep_gguf_key_of(name, bytes);
        if (key < TLEP_N_KEYS) {
            if (g->value_at[key]) {
                return tlep_gguf_refuse_key(key, TLEP_E_MALFORMED, i, 0, err);
            }
            g->value_at[key] = at;
        }
    }
    return TLEP_OK;
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

/* Walk the tensor infos twice: where the data section starts is known only after the last of
 * them. */
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
                return tlep_fail(err, TLEP_E_MALFORMED, "tensor offset is not aligned", i,
                                 alignment);
            }
            if (pass == 1 &&
                (offset > g->size - g->data_at || t.bytes > g->size - g->data_at - offset)) {
                return truncated(err, g->size);
            }
            /* Writers put tensors one behind the other: only others are compared with all that came
             * before. */
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
    if ((e = walk_metadata(g, &c, err)) || (e = tlep_gguf_alignment(g, &alignment, err)) ||
        (e = walk_tensors(g, &c, alignment, err))) {
        return e;
    }
    return tlep_gguf_read_hparams(g, err);
}
