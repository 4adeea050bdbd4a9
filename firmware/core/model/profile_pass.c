#include "model/profile.h"

#include <stddef.h>

#include "platform/hal.h"

static void spend(tlep_profile *p, tlep_operator operator, uint32_t layer, uint32_t positions)
{
    uint64_t now = hal_ticks();
    uint64_t ticks = now - p->last;
    uint32_t slot = p->n_slots == 1 ? 0 : layer;
    tlep_profile_cell *cell =
        &p->cells[(p->phase * p->n_slots + slot) * TLEP_N_OPERATORS + (uint32_t)operator];
    cell->ticks += ticks;
    cell->calls++;
    cell->positions += positions;
    p->by_position[p->bucket * TLEP_N_OPERATORS + (uint32_t)operator] += ticks;
    /* read again: the counting above belongs to no operator */
    p->last = hal_ticks();
}

/* A product of no rows quantises its input and does nothing else: so kernels.c needs no door for
 * profiles, and the plain pass stays as it was. */
static void quantize(tlep_llama *m, tlep_weight weight, uint32_t layer, uint32_t n)
{
    uint32_t block = tlep_type_block(weight.type);
    if (block > 1 && m->act.block != block) {
        tlep_matmul(NULL, m->file + weight.offset, weight.type, 0, &m->act, n);
        spend(m->profile, TLEP_DO_QUANTIZE, layer, n);
    }
}

#define DID(operator, layer, positions) spend(m->profile, operator, layer, positions)
#define QUANTIZED(weight, layer, n) quantize(m, weight, layer, n)
#include "model/pass.h"

uint64_t tlep_profiled_step(tlep_llama *m, tlep_phase phase, const uint32_t *tokens, uint32_t pos,
                            uint32_t n, bool choose, uint32_t *chosen)
{
    tlep_profile *p = m->profile;
    p->phase = phase;
    p->bucket = pos / p->bucket_positions;
    p->began = hal_ticks();
    p->last = p->began;
    if (pass(m, tokens, pos, n) && choose) {
        *chosen = tlep_argmax(head(m), m->hp.n_vocab);
        spend(p, TLEP_DO_ARGMAX, m->hp.n_layers, 1);
    }
    uint64_t ticks = hal_ticks() - p->began;
    p->window_ticks[phase] += ticks;
    return ticks;
}
