#include "kernels/attention.h"

#include <stddef.h>

#include "kernels/fmath.h"
#include "kernels/kernels.h"
#include "kernels/lanes.h"
#include "kernels/wide.h"

/* Eight elements of a cached row, or the n that are left. */
static inline lanes load_cached(const uint8_t *row, bool half, uint32_t n)
{
    if (half) {
        const uint16_t *p = (const uint16_t *)(const void *)row;
        return n >= LANES ? lanes_load_f16(p) : lanes_load_some_f16(p, n);
    }
    const float *p = (const float *)(const void *)row;
    return n >= LANES ? lanes_load(p) : lanes_load_some(p, n);
}

/* Inlined for both element types. */
static inline __attribute__((always_inline)) void scores_of(float *scores, const float *q,
                                                            const uint8_t *keys, bool half,
                                                            uint32_t n_rows, uint32_t n,
                                                            float scale)
{
    uint32_t element = half ? 2 : 4;
    for (uint32_t t = 0; t < n_rows; t++, keys += (size_t)n * element) {
        lanes s = lanes_splat(0.0f);
        for (uint32_t i = 0; i < n; i += LANES) {
            lanes v = n - i >= LANES ? lanes_load(q + i) : lanes_load_some(q + i, n - i);
            s = lanes_mac(s, v, load_cached(keys + (size_t)i * element, half, n - i));
        }
        scores[t] = lanes_fold(s) * scale;
    }
}

void tlep_attention_scores(float *scores, const float *q, const uint8_t *keys, bool half,
                           uint32_t n_rows, uint32_t n, float scale)
{
    if (TLEP_WIDE) {
        tlep_wide_attention_scores(scores, q, keys, half, n_rows, n, scale);
    } else if (half) {
        scores_of(scores, q, keys, true, n_rows, n, scale);
    } else {
        scores_of(scores, q, keys, false, n_rows, n, scale);
    }
}

/* e^x for x <= 0. Where no loop is vectorised, a branch costs less than clamping. */
static inline float exp_of_difference(float x)
{
#ifdef TLEP_SIMD
    return tlep_expf(x);
#else
    return __builtin_expect(x < -87.0f, 0) ? 0.0f : tlep_exp_within(x);
#endif
}

float tlep_attention_exp(float *scores, uint32_t n_rows)
{
    if (TLEP_WIDE) {
        return tlep_wide_attention_exp(scores, n_rows);
    }
    float largest = scores[0];
    for (uint32_t t = 1; t < n_rows; t++) {
        largest = scores[t] > largest ? scores[t] : largest;
    }
    for (uint32_t t = 0; t < n_rows; t++) {
        scores[t] = exp_of_difference(scores[t] - largest);
    }
    return 1.0f / tlep_sum(scores, n_rows);
}

static inline __attribute__((always_inline)) void mix(float *out, const float *weights,
                                                      const uint8_t *values, bool half,
                                                      uint32_t n_rows, uint32_t n, float norm)
{
    uint32_t element = half ? 2 : 4;
    for (uint32_t i = 0; i < n; i += LANES, values += (size_t)LANES * element) {
        /* eight columns at a time, so that their sums stay in registers */
        const uint8_t *row = values;
        lanes s = lanes_splat(0.0f);
        for (uint32_t t = 0; t < n_rows; t++, row += (size_t)n * element) {
            s = lanes_mac(s, lanes_splat(weights[t]), load_cached(row, half, n - i));
        }
        s = lanes_mul(s, lanes_splat(norm));
        if (n - i >= LANES) {
            lanes_store(out + i, s);
        } else {
            float some[LANES];
            lanes_store(some, s);
            __builtin_memcpy(out + i, some, (n - i) * sizeof *out);
        }
    }
}

void tlep_attention_mix(float *out, const float *weights, const uint8_t *values, bool half,
                        uint32_t n_rows, uint32_t n, float norm)
{
    if (TLEP_WIDE) {
        tlep_wide_attention_mix(out, weights, values, half, n_rows, n, norm);
    } else if (half) {
        mix(out, weights, values, true, n_rows, n, norm);
    } else {
        mix(out, weights, values, false, n_rows, n, norm);
    }
}
