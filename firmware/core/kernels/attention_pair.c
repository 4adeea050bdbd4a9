/* Attention of two query heads that share a kv head, with an F16 cache: each cached element is
 * widened once for both. Everything is as in attention.c, whose functions do the rest: other
 * caches, and hosts, where a row is a register or two. */
#include <stddef.h>

#include "kernels/attention.h"
#include "kernels/lanes.h"

#ifdef TLEP_SIMD

bool tlep_attention_pair_reads_once(bool half, uint32_t n)
{
    (void)half;
    (void)n;
    return false;
}

void tlep_attention_scores_pair(float *scores, float *second, const float *q, const uint8_t *keys,
                                bool half, uint32_t n_rows, uint32_t n, float scale)
{
    tlep_attention_scores(scores, q, keys, half, n_rows, n, scale);
    tlep_attention_scores(second, q + n, keys, half, n_rows, n, scale);
}

void tlep_attention_mix_pair(float *out, const float *weights, const float *second,
                             const uint8_t *values, bool half, uint32_t n_rows, uint32_t n,
                             const float norms[2])
{
    tlep_attention_mix(out, weights, values, half, n_rows, n, norms[0]);
    tlep_attention_mix(out + n, second, values, half, n_rows, n, norms[1]);
}

#else

#define INLINE static inline __attribute__((always_inline))

/* Eight halves h as h / NARROW, and what makes up for it: where widening needs a multiplication by
 * a power of two, the other factor takes it along. It is exact, so the product's bits stay. */
#if defined(TLEP_FP16_HARDWARE) || defined(TLEP_SOFT_FLOAT)
#define NARROW 1.0f
#define load_narrow lanes_load_f16
#else
#define NARROW 0x1p112f

INLINE lanes load_narrow(const uint16_t *p)
{
    uint32_t w[4];
    __builtin_memcpy(w, __builtin_assume_aligned(p, 4), sizeof w);
    const uint32_t fields = 0x8FFFE000u; /* infinities become finite: they have no rule */
#define LOW(i) tlep_bits_float((uint32_t)((int32_t)(w[i] << 16) >> 3) & fields)
#define HIGH(i) tlep_bits_float((uint32_t)((int32_t)w[i] >> 3) & fields)
    return (lanes){LOW(0), HIGH(0), LOW(1), HIGH(1), LOW(2), HIGH(2), LOW(3), HIGH(3)};
#undef LOW
#undef HIGH
}
#endif

/* Heads of eight elements: both queries stay in registers. */
static void scores_of_eight(float *scores, float *second, lanes q0, lanes q1, const uint16_t *keys,
                            uint32_t n_rows, float scale)
{
    for (uint32_t t = 0; t < n_rows; t++, keys += LANES) {
        lanes k = load_narrow(keys);
        scores[t] = lanes_fold(lanes_mul(q0, k)) * scale;
        second[t] = lanes_fold(lanes_mul(q1, k)) * scale;
    }
}

static void scores_of(float *scores, float *second, const float *q, const uint16_t *keys,
                      uint32_t n_rows, uint32_t n, float scale)
{
    for (uint32_t t = 0; t < n_rows; t++, keys += n) {
        lanes s0 = lanes_splat(0.0f);
        lanes s1 = lanes_splat(0.0f);
        for (uint32_t i = 0; i < n; i += LANES) {
            lanes k = lanes_load_f16(keys + i);
            s0 = lanes_mac(s0, lanes_load(q + i), k);
            s1 = lanes_mac(s1, lanes_load(q + n + i), k);
        }
        scores[t] = lanes_fold(s0) * scale;
        second[t] = lanes_fold(s1) * scale;
    }
}

bool tlep_attention_pair_reads_once(bool half, uint32_t n)
{
    return half && n % LANES == 0;
}

/* Whether q · NARROW is finite. */
static bool is_small(const float *q, uint32_t n)
{
    for (uint32_t i = 0; i < n && NARROW != 1.0f; i++) {
        if ((tlep_float_bits(q[i]) & 0x7FFFFFFFu) >= 0x47800000u) {
            return false;
        }
    }
    return true;
}

void tlep_attention_scores_pair(float *scores, float *second, const float *q, const uint8_t *keys,
                                bool half, uint32_t n_rows, uint32_t n, float scale)
{
    const uint16_t *p = (const uint16_t *)(const void *)keys;
    if (!tlep_attention_pair_reads_once(half, n)) {
        tlep_attention_scores(scores, q, keys, half, n_rows, n, scale);
        tlep_attention_scores(second, q + n, keys, half, n_rows, n, scale);
    } else if (n == LANES && is_small(q, 2 * n)) {
        lanes factor = lanes_splat(NARROW);
        scores_of_eight(scores, second, lanes_mul(lanes_load(q), factor),
                        lanes_mul(lanes_load(q + n), factor), p, n_rows, scale);
    } else {
        scores_of(scores, second, q, p, n_rows, n, scale);
    }
}

void tlep_attention_mix_pair(float *out, const float *weights, const float *second,
                             const uint8_t *values, bool half, uint32_t n_rows, uint32_t n,
                             const float norms[2])
{
    if (!tlep_attention_pair_reads_once(half, n)) {
        tlep_attention_mix(out, weights, values, half, n_rows, n, norms[0]);
        tlep_attention_mix(out + n, second, values, half, n_rows, n, norms[1]);
        return;
    }
    const uint16_t *column = (const uint16_t *)(const void *)values;
    for (uint32_t i = 0; i < n; i += LANES, column += LANES) {
        const uint16_t *row = column;
        lanes s0 = lanes_splat(0.0f);
        lanes s1 = lanes_splat(0.0f);
        for (uint32_t t = 0; t < n_rows; t++, row += n) {
            lanes v = load_narrow(row); /* weights are at most 1: times NARROW they are finite */
            s0 = lanes_mac(s0, lanes_splat(weights[t] * NARROW), v);
            s1 = lanes_mac(s1, lanes_splat(second[t] * NARROW), v);
        }
        lanes_store(out + i, lanes_mul(s0, lanes_splat(norms[0])));
        lanes_store(out + n + i, lanes_mul(s1, lanes_splat(norms[1])));
    }
}

#endif
