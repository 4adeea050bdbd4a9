#include "model/llama.h"

#include <string.h>

#include "kernels/fmath.h"
#include "platform/hal.h"

/* ---- Memory ---------------------------------------------------------------------------------- */

/* every buffer starts and ends on it: the widest SIMD load we could meet */
enum { STATE_ALIGN = 16, KEPT_FREE_BYTES = 16384 };

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + STATE_ALIGN - 1) / STATE_ALIGN * STATE_ALIGN;
}

uint64_t tlep_llama_kv_bytes(const tlep_hparams *hp, uint32_t n_ctx, tlep_kv_type kv)
{
    return 2 * aligned((uint64_t)hp->n_layers * n_ctx * tlep_kv_dim(hp) * tlep_kv_element_bytes(kv));
}

/* Hand out the next `bytes` of the block that starts at `base`; with a null base, only count. */
static void *carve(uint8_t *base, uint64_t *at, uint64_t bytes)
{
    void *p = base ? base + *at : NULL;
    *at += aligned(bytes);
    return p;
}

/* Lay the activations out from `base`; returns the bytes they take. The same function
 * counts the bytes and places the buffers, so that the two always agree. */
static uint64_t lay_out(tlep_llama *m, const tlep_hparams *hp, uint32_t n_ctx, uint32_t batch,
                        uint8_t *base)
{
    uint64_t at = 0;
    uint64_t widest = hp->dim > hp->hidden ? hp->dim : hp->hidden;
    uint64_t blocks = (widest + 31) / 32;
    m->layers = carve(base, &at, (uint64_t)hp->n_layers * sizeof(tlep_layer));
    uint64_t floats = 4 * (uint64_t)batch;
    m->x = carve(base, &at, floats * hp->dim);
    m->xb = carve(base, &at, floats * hp->dim);
    m->q = carve(base, &at, floats * hp->dim);
    m->k = carve(base, &at, floats * tlep_kv_dim(hp));
    m->v = carve(base, &at, floats * tlep_kv_dim(hp));
    m->hb = carve(base, &at, floats * hp->hidden);
    m->hb2 = carve(base, &at, floats * hp->hidden);
    m->att = carve(base, &at, (uint64_t)n_ctx * 2 * 4);
    m->inv_freq = carve(base, &at, (uint64_t)(hp->rope_dim / 2) * 4);
    m->cos_sin = carve(base, &at, floats * hp->rope_dim);
    m->logits = carve(base, &at, (uint64_t)hp->n_vocab * 4);
    m->act.q = carve(base, &at, widest * 2);
    m->act.scale = carve(base, &at, blocks * 4);
    m->act.sum = carve(base, &at, blocks * 4);
    if (batch > 1) {
        m->act.packed = carve(base, &at, batch * (widest * 2 + blocks * 8));
    }
    return at;
}

uint64_t tlep_llama_activation_bytes(const tlep_hparams *hp, uint32_t n_ctx, uint32_t batch)
{
    tlep_llama scratch;
    return lay_out(&scratch, hp, n_ctx, batch, NULL);
}

static uint32_t saturated(uint64_t n)
{
    return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

/* Allocate keys, values and activations. On failure every arena is as it was. */
static int place_batch(tlep_llama *m, uint32_t n_ctx, tlep_arena *arenas, uint32_t n_arenas,
                       tlep_error *err)
{
    uint64_t half = tlep_llama_kv_bytes(&m->hp, n_ctx, m->kv_type) / 2;
    uint64_t bytes[TLEP_N_PLACEMENTS] = {half, half, tlep_llama_activation_bytes(&m->hp, n_ctx, m->batch)};
    uint8_t *at[TLEP_N_PLACEMENTS] = {NULL};
    uint32_t free_bytes = 0;
    for (uint32_t i = 0; i < n_arenas; i++) {
        free_bytes += arenas[i].size - arenas[i].used;
    }
    uint64_t all = bytes[0] + bytes[1] + bytes[2];
    if (all > free_bytes) {
        return tlep_fail(err, TLEP_E_NO_MEMORY, "KV cache and activations do not fit",
                         saturated(all), free_bytes);
    }
    uint32_t marks[TLEP_N_PLACEMENTS];
    for (uint32_t i = 0; i < TLEP_N_PLACEMENTS; i++) {
        tlep_placement *p = &m->placements[i];
        p->category = i == 2 ? "activations" : "kv";
        p->bytes = (uint32_t)bytes[i];
        for (p->arena = 0; p->arena < n_arenas; p->arena++) {
            marks[i] = arenas[p->arena].used;
            if ((at[i] = tlep_arena_alloc(&arenas[p->arena], p->bytes, STATE_ALIGN))) {
                break;
            }
        }
        if (!at[i]) {
            uint32_t room = tlep_arena_largest_free(arenas, n_arenas, STATE_ALIGN);
            while (i-- > 0) {
                tlep_arena_reset(&arenas[m->placements[i].arena], marks[i]);
            }
            return tlep_fail(err, TLEP_E_NO_MEMORY,
                             "no single memory region has room for this part of the state",
                             p->bytes, room);
        }
    }
    m->k_cache = at[0];
    m->v_cache = at[1];
    (void)lay_out(m, &m->hp, n_ctx, m->batch, at[2]);
    return TLEP_OK;
}

/* ---- Tensors --------------------------------------------------------------------------------- */

/* The shape that a tensor must have. `norm` weights are read as F32 without a kernel. */
typedef struct {
    const char *name; /* with * for the layer's number; also the error message */
    uint32_t cols;
    uint32_t rows;
    bool norm;
} tensor_spec;

/* Write `pattern` with its * replaced by `layer` (< 1000) into `name`. */
static void expand_name(char name[TLEP_GGUF_MAX_NAME_BYTES], const char *pattern, uint32_t layer)
{
    for (; *pattern; pattern++) {
        if (*pattern != '*') {
            *name++ = *pattern;
            continue;
        }
        for (uint32_t unit = layer >= 100 ? 100 : layer >= 10 ? 10 : 1; unit; unit /= 10) {
            *name++ = (char)('0' + layer / unit % 10);
        }
    }
    *name = 0;
}

static int find_weight(const tlep_gguf *g, const tensor_spec *spec, uint32_t layer, tlep_weight *w,
                       tlep_error *err)
{
    char name[TLEP_GGUF_MAX_NAME_BYTES];
    tlep_tensor t;
    expand_name(name, spec->name, layer);
    if (!tlep_gguf_tensor(g, name, &t)) {
        return tlep_fail(err, TLEP_E_MISSING, spec->name, layer, 0);
    }
    if (t.ne[0] != spec->cols || t.ne[1] != spec->rows || t.ne[2] != 1 || t.ne[3] != 1) {
        return tlep_fail(err, TLEP_E_MALFORMED, spec->name, t.ne[0], spec->cols);
    }
    if (spec->norm && t.type != TLEP_TYPE_F32) {
        return tlep_fail(err, TLEP_E_TENSOR_TYPE, spec->name, t.type, TLEP_TYPE_F32);
    }
    *w = (tlep_weight){t.offset, t.type};
    return TLEP_OK;
}

static int find_layer(const tlep_gguf *g, uint32_t i, tlep_layer *l, tlep_error *err)
{
    const tlep_hparams *h = &g->hparams;
    uint32_t kv = tlep_kv_dim(h);
    const struct {
        tensor_spec spec;
        tlep_weight *to;
    } parts[] = {
        {{"blk.*.attn_norm.weight", h->dim, 1, true}, &l->attn_norm},
        {{"blk.*.attn_q.weight", h->dim, h->dim, false}, &l->attn_q},
        {{"blk.*.attn_k.weight", h->dim, kv, false}, &l->attn_k},
        {{"blk.*.attn_v.weight", h->dim, kv, false}, &l->attn_v},
        {{"blk.*.attn_output.weight", h->dim, h->dim, false}, &l->attn_output},
        {{"blk.*.ffn_norm.weight", h->dim, 1, true}, &l->ffn_norm},
        {{"blk.*.ffn_gate.weight", h->dim, h->hidden, false}, &l->ffn_gate},
        {{"blk.*.ffn_up.weight", h->dim, h->hidden, false}, &l->ffn_up},
        {{"blk.*.ffn_down.weight", h->hidden, h->dim, false}, &l->ffn_down},
    };
    for (uint32_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
        int e = find_weight(g, &parts[p].spec, i, parts[p].to, err);
        if (e) {
            return e;
        }
    }
    return TLEP_OK;
}

/* Factors of the rotation's frequencies. Factors that are all 1 change nothing; others are
 * refused. */
static int check_frequency_factors(const tlep_gguf *g, const tlep_tensor *t, tlep_error *err)
{
    if (t->type != TLEP_TYPE_F32) {
        return tlep_fail(err, TLEP_E_TENSOR_TYPE, TLEP_GGUF_FREQ_FACTORS, t->type, TLEP_TYPE_F32);
    }
    uint32_t pairs = g->hparams.rope_dim / 2;
    if (t->ne[0] != pairs || t->ne[1] != 1 || t->ne[2] != 1 || t->ne[3] != 1) {
        return tlep_fail(err, TLEP_E_MALFORMED, TLEP_GGUF_FREQ_FACTORS, t->ne[0], pairs);
    }
    const float *factors = (const float *)(const void *)(g->data + t->offset);
    for (uint32_t i = 0; i < pairs; i++) {
        if (factors[i] != 1.0f) {
            return tlep_fail(err, TLEP_E_ARCHITECTURE, TLEP_GGUF_FREQ_FACTORS, i, 0);
        }
    }
    return TLEP_OK;
}

/* Find every tensor. One that is left over (a bias, a duplicate) is refused: we would ignore it. */
static int find_tensors(tlep_llama *m, const tlep_gguf *g, tlep_layer *layers, tlep_error *err)
{
    const tlep_hparams *h = &g->hparams;
    const tensor_spec embd = {"token_embd.weight", h->dim, h->n_vocab, false};
    const tensor_spec norm = {"output_norm.weight", h->dim, 1, true};
    const tensor_spec output = {"output.weight", h->dim, h->n_vocab, false};
    uint32_t found = 2 + 9 * h->n_layers;
    int e;
    if ((e = find_weight(g, &embd, 0, &m->token_embd, err)) ||
        (e = find_weight(g, &norm, 0, &m->output_norm, err))) {
        return e;
    }
    m->output = m->token_embd;
    tlep_tensor t;
    if (tlep_gguf_tensor(g, "output.weight", &t)) {
        found++;
        if ((e = find_weight(g, &output, 0, &m->output, err))) {
            return e;
        }
    }
    if (tlep_gguf_tensor(g, TLEP_GGUF_FREQ_FACTORS, &t)) {
        found++;
        if ((e = check_frequency_factors(g, &t, err))) {
            return e;
        }
    }
    for (uint32_t i = 0; i < h->n_layers; i++) {
        tlep_layer unused;
        if ((e = find_layer(g, i, layers ? &layers[i] : &unused, err))) {
            return e;
        }
    }
    if (found != g->n_tensors) {
        return tlep_fail(err, TLEP_E_ARCHITECTURE, "has tensors that plain llama would ignore",
                         g->n_tensors, found);
    }
    return TLEP_OK;
}

/* Whether a kernel unpacks the weights that the layers have most of. */
static bool worth_a_batch(const tlep_gguf *g)
{
    tlep_layer l;
    tlep_error unused;
    return TLEP_BATCH > 1 && find_layer(g, 0, &l, &unused) == TLEP_OK &&
           tlep_type_block(l.ffn_gate.type) > 1;
}

/* A batch where one can be: it never keeps a model from fitting, nor takes the room that a profile
 * or the timing of a kernel wants. */
static int place_state(tlep_llama *m, const tlep_gguf *g, uint32_t n_ctx, tlep_arena *arenas,
                       uint32_t n_arenas, tlep_error *err)
{
    tlep_arena before[TLEP_REGIONS_MAX];
    if (worth_a_batch(g)) {
        tlep_error no_error; /* where a batch has no room, nothing is wrong */
        memcpy(before, arenas, n_arenas * sizeof *arenas);
        m->batch = TLEP_BATCH;
        if (place_batch(m, n_ctx, arenas, n_arenas, &no_error) == TLEP_OK &&
            tlep_arena_largest_free(arenas, n_arenas, STATE_ALIGN) >= KEPT_FREE_BYTES) {
            return TLEP_OK;
        }
        memcpy(arenas, before, n_arenas * sizeof *arenas);
    }
    m->batch = 1;
    return place_batch(m, n_ctx, arenas, n_arenas, err);
}

/* inv_freq[i] = rope_base ^ (-2i / rope_dim) */
static void fill_inverse_frequencies(tlep_llama *m)
{
    float log_base = tlep_logf(m->hp.rope_base);
    for (uint32_t i = 0; i < m->hp.rope_dim / 2; i++) {
        m->inv_freq[i] = tlep_expf(-(((float)(2 * i) / (float)m->hp.rope_dim) * log_base));
    }
}

int tlep_llama_prepare(tlep_llama *m, const tlep_gguf *g, uint32_t n_ctx, tlep_kv_type kv,
                       tlep_arena *arenas, uint32_t n_arenas, tlep_error *err)
{
    memset(m, 0, sizeof *m);
    m->hp = g->hparams;
    m->file = g->data;
    m->kv_type = kv;
    m->n_ctx = n_ctx;
    if (n_ctx == 0 || n_ctx > g->hparams.n_ctx) {
        return tlep_fail(err, TLEP_E_CONTEXT, "n_ctx is 0 or beyond what the model was trained for",
                         n_ctx, g->hparams.n_ctx);
    }
    if (kv != TLEP_KV_F32 && kv != TLEP_KV_F16) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "KV cache type is neither F32 nor F16",
                         (uint32_t)kv, 1);
    }
    int e;
    if ((e = find_tensors(m, g, NULL, err)) ||
        (e = place_state(m, g, n_ctx, arenas, n_arenas, err))) {
        return e; /* tensors first: what no board can run is not a question of memory */
    }
    (void)find_tensors(m, g, m->layers, err);
    fill_inverse_frequencies(m);
    return TLEP_OK;
}

void tlep_llama_reset(tlep_llama *m)
{
    /* older rows of the cache are never read: attention stops at the current position */
    m->n_past = 0;
}
