/* Where the time of a run goes: ticks by operator and layer, and by position.
 *
 * Accumulators, not a log of events: a few KB that are taken from the model's memory for one run,
 * and kept until the next. A cell counts calls, ticks and positions; what an operator multiplied
 * and read follows from these and from the model (tlep_profile_work). */
#ifndef TLEP_PROFILE_H
#define TLEP_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/llama.h"

/* In the order of the pass; the numbers are those of the link protocol. */
typedef enum {
    TLEP_DO_EMBEDDING = 0,
    TLEP_DO_NORM = 1,
    TLEP_DO_QUANTIZE = 2, /* activations, for the weights that want them quantised */
    TLEP_DO_Q = 3,
    TLEP_DO_K = 4,
    TLEP_DO_V = 5,
    TLEP_DO_ROPE = 6,
    TLEP_DO_CACHE_WRITE = 7,
    TLEP_DO_SCORES = 8,
    TLEP_DO_SOFTMAX = 9,
    TLEP_DO_MIX = 10,
    TLEP_DO_ATTN_OUTPUT = 11,
    TLEP_DO_GATE = 12,
    TLEP_DO_UP = 13,
    TLEP_DO_SWIGLU = 14,
    TLEP_DO_DOWN = 15,
    TLEP_DO_RESIDUAL = 16,
    TLEP_DO_HEAD = 17,
    TLEP_DO_ARGMAX = 18,
    TLEP_N_OPERATORS = 19
} tlep_operator;

typedef enum { TLEP_IN_PREFILL = 0, TLEP_IN_DECODE = 1, TLEP_N_PHASES = 2 } tlep_phase;

enum { TLEP_PROFILE_BUCKETS = 8 };

typedef struct {
    uint64_t ticks;
    uint32_t calls;
    uint32_t positions; /* sum of cached positions read, or of positions where nothing is cached */
} tlep_profile_cell;

typedef struct tlep_profile {
    uint32_t n_slots;         /* layers, and one more for what is in none; or 1 for all together */
    tlep_profile_cell *cells; /* (phase, slot, operator); NULL: no profile */
    uint64_t *by_position;    /* (bucket, operator) ticks, both phases */
    uint32_t bucket_positions;
    uint64_t window_ticks[TLEP_N_PHASES];
    uint32_t arena; /* where the cells are, and its `used` before */
    uint32_t mark;
    /* of the step in progress */
    tlep_phase phase;
    uint32_t bucket;
    uint64_t began;
    uint64_t last;
} tlep_profile;

/* What the calls of a cell came to. */
typedef struct {
    uint64_t macs;         /* multiply-accumulates */
    uint64_t weight_bytes; /* read */
    uint64_t cache_bytes;  /* read or written */
} tlep_work;

/* Take memory for a run of `positions`, by layer or not, and have `m` count there. NO_MEMORY names
 * what is needed and the largest piece free. */
int tlep_profile_open(tlep_profile *p, tlep_llama *m, bool by_layer, uint32_t positions,
                      tlep_arena *arenas, uint32_t n_arenas, tlep_error *err);

/* Give it back; nothing to do without a profile. */
void tlep_profile_close(tlep_profile *p, tlep_llama *m, tlep_arena *arenas);

/* `n` positions, 1 or m->batch, with the timer read between operators. With `choose` the head runs
 * too, and *chosen becomes the likeliest. Returns the ticks of their window. */
uint64_t tlep_profiled_step(tlep_llama *m, tlep_phase phase, const uint32_t *tokens, uint32_t pos,
                            uint32_t n, bool choose, uint32_t *chosen);

static inline uint32_t tlep_profile_n_cells(const tlep_profile *p)
{
    return TLEP_N_PHASES * p->n_slots * TLEP_N_OPERATORS;
}

/* What the calls in cell `index` came to. */
tlep_work tlep_profile_work(const tlep_profile *p, const tlep_llama *m, uint32_t index);

#endif
