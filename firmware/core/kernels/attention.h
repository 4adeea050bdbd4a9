/* Attention of one query head over the cached rows of its kv head.
 *
 * A cache is n_rows rows of `n` (head_dim) elements, contiguous, F32 or F16. The order of every sum
 * is that of docs/arithmetic.md, section 5. */
#ifndef TLEP_ATTENTION_H
#define TLEP_ATTENTION_H

#include <stdbool.h>
#include <stdint.h>

/* scores[t] = dot(q, key row t) · scale */
void tlep_attention_scores(float *scores, const float *q, const uint8_t *keys, bool half,
                           uint32_t n_rows, uint32_t n, float scale);

/* scores[t] = exp(scores[t] - largest); returns 1 / their sum. */
float tlep_attention_exp(float *scores, uint32_t n_rows);

/* out = (sum over t of weights[t] · value row t) · norm: dividing once, after the sum, costs n
 * multiplications instead of n_rows. */
void tlep_attention_mix(float *out, const float *weights, const uint8_t *values, bool half,
                        uint32_t n_rows, uint32_t n, float norm);

/* The same of two query heads that share a kv head: q and out have their n elements one after the
 * other, and `second` are the second head's scores or weights. */
void tlep_attention_scores_pair(float *scores, float *second, const float *q, const uint8_t *keys,
                                bool half, uint32_t n_rows, uint32_t n, float scale);
void tlep_attention_mix_pair(float *out, const float *weights, const float *second,
                             const uint8_t *values, bool half, uint32_t n_rows, uint32_t n,
                             const float norms[2]);

/* Whether such a pair reads each row once: where a head's rows fill registers, it does not. */
bool tlep_attention_pair_reads_once(bool half, uint32_t n);

#endif
