/* What the forward pass does between products and attention, for `n` positions of a batch whose
 * vectors follow each other. Apart from pass.h, which is compiled twice. */
#ifndef TLEP_STEPS_H
#define TLEP_STEPS_H

#include <stddef.h>

#include "model/llama.h"

/* xb = x / rms(x) · weight */
void tlep_rms_norm(const tlep_llama *m, tlep_weight weight, uint32_t n);

/* Cosines and sines of the positions from `pos` on. */
void tlep_prepare_rotation(tlep_llama *m, uint32_t pos, uint32_t n);

/* Rotate adjacent pairs (llama's NORM order) of the first rope_dim elements of each head. */
void tlep_rotate(const tlep_llama *m, float *heads, uint32_t n_heads, uint32_t n);

/* Row `pos` of one kv head in a cache. */
static inline uint8_t *tlep_cache_row(const tlep_llama *m, uint8_t *cache, uint32_t layer,
                                      uint32_t head, uint32_t pos)
{
    size_t row = ((size_t)layer * m->hp.n_heads_kv + head) * m->n_ctx + pos;
    return cache + row * m->hp.head_dim * tlep_kv_element_bytes(m->kv_type);
}

/* Store the heads of the positions from `pos` on in a cache. */
void tlep_store_kv(const tlep_llama *m, uint8_t *cache, uint32_t layer, uint32_t pos,
                   const float *heads, uint32_t n);

/* x += y */
void tlep_add(float *x, const float *y, uint32_t n);

#endif
