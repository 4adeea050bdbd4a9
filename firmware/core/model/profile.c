#include "model/profile.h"

#include <string.h>

#include "kernels/attention.h"
#include "platform/hal.h"

enum { CELLS_ALIGN = 8 };

int tlep_profile_open(tlep_profile *p, tlep_llama *m, bool by_layer, uint32_t positions,
                      tlep_arena *arenas, uint32_t n_arenas, tlep_error *err)
{
    memset(p, 0, sizeof *p);
    p->n_slots = by_layer ? m->hp.n_layers + 1 : 1;
    /* whole batches, since the positions of one are timed together */
    uint32_t most = TLEP_PROFILE_BUCKETS * m->batch;
    p->bucket_positions = (positions + most - 1) / most * m->batch;
    uint32_t cells_bytes = tlep_profile_n_cells(p) * (uint32_t)sizeof *p->cells;
    uint32_t bytes =
        cells_bytes + TLEP_PROFILE_BUCKETS * TLEP_N_OPERATORS * (uint32_t)sizeof *p->by_position;
    uint32_t used[TLEP_REGIONS_MAX];
    for (uint32_t i = 0; i < n_arenas; i++) {
        used[i] = arenas[i].used;
    }
    uint8_t *at = tlep_arena_place(arenas, n_arenas, bytes, CELLS_ALIGN, &p->arena);
    if (at == NULL) {
        return tlep_fail(err, TLEP_E_NO_MEMORY, "no RAM region has room for the profile", bytes,
                         tlep_arena_largest_free(arenas, n_arenas, CELLS_ALIGN));
    }
    memset(at, 0, bytes);
    p->mark = used[p->arena];
    p->cells = (tlep_profile_cell *)(void *)at;
    p->by_position = (uint64_t *)(void *)(at + cells_bytes);
    m->profile = p;
    return TLEP_OK;
}

void tlep_profile_close(tlep_profile *p, tlep_llama *m, tlep_arena *arenas)
{
    if (p->cells != NULL) {
        tlep_arena_reset(&arenas[p->arena], p->mark);
        p->cells = NULL;
    }
    m->profile = NULL;
}

/* ---- What the calls came to ------------------------------------------------------------------ */

typedef struct {
    tlep_weight weight;
    uint32_t rows;
    uint32_t cols;
} matrix;

/* The matrix of an operator; no rows where it has none. */
static matrix matrix_of(const tlep_llama *m, tlep_operator operator, uint32_t layer)
{
    const tlep_hparams *h = &m->hp;
    if (operator == TLEP_DO_HEAD) {
        return (matrix){m->output, h->n_vocab, h->dim};
    }
    if (layer >= h->n_layers) {
        return (matrix){.rows = 0};
    }
    const tlep_layer *l = &m->layers[layer];
    switch (operator) {
    case TLEP_DO_Q: return (matrix){l->attn_q, h->dim, h->dim};
    case TLEP_DO_K: return (matrix){l->attn_k, tlep_kv_dim(h), h->dim};
    case TLEP_DO_V: return (matrix){l->attn_v, tlep_kv_dim(h), h->dim};
    case TLEP_DO_ATTN_OUTPUT: return (matrix){l->attn_output, h->dim, h->dim};
    case TLEP_DO_GATE: return (matrix){l->ffn_gate, h->hidden, h->dim};
    case TLEP_DO_UP: return (matrix){l->ffn_up, h->hidden, h->dim};
    case TLEP_DO_DOWN: return (matrix){l->ffn_down, h->dim, h->hidden};
    default: return (matrix){.rows = 0};
    }
}

/* Add `calls` matrix products, over `positions` positions together, to `work`. */
static void add_products(tlep_work *work, const matrix *x, uint64_t calls, uint64_t positions)
{
    if (x->rows != 0) {
        work->macs += positions * x->rows * x->cols;
        work->weight_bytes += calls * x->rows * tlep_row_bytes(x->weight.type, x->cols);
    }
}

tlep_work tlep_profile_work(const tlep_profile *p, const tlep_llama *m, uint32_t index)
{
    const tlep_hparams *h = &m->hp;
    const tlep_profile_cell *cell = &p->cells[index];
    tlep_operator operator = (tlep_operator)(index % TLEP_N_OPERATORS);
    uint32_t slot = index / TLEP_N_OPERATORS % p->n_slots;
    uint64_t element = tlep_kv_element_bytes(m->kv_type);
    tlep_work work = {0};
    switch (operator) {
    case TLEP_DO_EMBEDDING:
        work.weight_bytes = cell->positions * (uint64_t)tlep_row_bytes(m->token_embd.type, h->dim);
        break;
    case TLEP_DO_NORM:
        work.macs = cell->positions * (uint64_t)h->dim;
        work.weight_bytes = cell->calls * (uint64_t)h->dim * 4;
        break;
    case TLEP_DO_CACHE_WRITE:
        work.cache_bytes = element * 2 * tlep_kv_dim(h) * cell->positions;
        break;
    case TLEP_DO_SCORES:
    case TLEP_DO_MIX:
        work.macs = cell->positions * (uint64_t)h->head_dim;
        work.cache_bytes = work.macs * element;
        if (tlep_attention_pair_reads_once(m->kv_type == TLEP_KV_F16, h->head_dim)) {
            uint32_t group = h->n_heads / h->n_heads_kv; /* in pairs, and the last alone */
            work.cache_bytes = work.cache_bytes / group * (group / 2 + group % 2);
        }
        break;
    default: {
        /* the layers of this cell share its calls evenly: each pass does all of them */
        bool all = p->n_slots == 1 && operator != TLEP_DO_HEAD;
        uint32_t first = all ? 0 : slot, n = all ? h->n_layers : 1;
        for (uint32_t layer = first; layer < first + n; layer++) {
            matrix x = matrix_of(m, operator, layer);
            add_products(&work, &x, cell->calls / n, cell->positions / n);
        }
    }
    }
    return work;
}
