/* Attention of eight cached rows at a time (kernels/wide.h). */
#include "kernels/attention.h"
#include "kernels/fmath.h"
#include "kernels/kernels.h"
#include "kernels/wide.h"

#include <stddef.h>

#if defined(TLEP_WIDE_AVX2) || defined(TLEP_WIDE_NEON)

#include "kernels/wide_begin.h"

/* Eight elements of a cached row from element i, or what is left of its n. */
static inline lanes load_cached(const uint8_t *row, bool half, uint32_t i, uint32_t n)
{
    if (half) {
        const uint16_t *p = (const uint16_t *)(const void *)row + i;
        return n - i >= LANES ? lanes_load_f16(p) : lanes_load_some_f16(p, n - i);
    }
    const float *p = (const float *)(const void *)row + i;
    return n - i >= LANES ? lanes_load(p) : lanes_load_some(p, n - i);
}

static inline lanes load_some(const float *p, uint32_t n)
{
    return n >= LANES ? lanes_load(p) : lanes_load_some(p, n);
}

static inline void store_some(float *p, lanes v, uint32_t n)
{
    if (n >= LANES) {
        lanes_store(p, v);
        return;
    }
    float some[LANES];
    lanes_store(some, v);
    __builtin_memcpy(p, some, n * sizeof *p);
}

/* Eight rows, `stride` bytes apart: lane r is dot(q, row r). */
static inline __attribute__((always_inline)) lanes eight_dots(const float *q, const uint8_t *keys,
                                                              size_t stride, bool half, uint32_t n)
{
    lanes s[LANES];
    for (uint32_t r = 0; r < LANES; r++) {
        s[r] = lanes_splat(0.0f);
    }
    for (uint32_t i = 0; i < n; i += LANES) {
        lanes v = load_some(q + i, n - i);
        for (uint32_t r = 0; r < LANES; r++) {
            s[r] = lanes_mac(s[r], load_cached(keys + r * stride, half, i, n), v);
        }
    }
    return lanes_fold_each(s);
}

static inline __attribute__((always_inline)) void scores_of(float *scores, const float *q,
                                                            const uint8_t *keys, bool half,
                                                            uint32_t n_rows, uint32_t n,
                                                            float scale)
{
    size_t row_bytes = (size_t)n * (half ? 2 : 4);
    lanes factor = lanes_splat(scale);
    for (uint32_t t = 0; n_rows < LANES && t < n_rows; t++) { /* too few: each row eight times */
        lanes s = eight_dots(q, keys + t * row_bytes, 0, half, n);
        store_some(scores + t, lanes_mul(s, factor), 1);
    }
    /* the last eight overlap those before them */
    for (uint32_t end = LANES; n_rows >= LANES && end < n_rows + LANES; end += LANES) {
        uint32_t t = (end < n_rows ? end : n_rows) - LANES;
        lanes s = eight_dots(q, keys + t * row_bytes, row_bytes, half, n);
        lanes_store(scores + t, lanes_mul(s, factor));
    }
}

void tlep_wide_attention_scores(float *scores, const float *q, const uint8_t *keys, bool half,
                                uint32_t n_rows, uint32_t n, float scale)
{
    if (half) {
        scores_of(scores, q, keys, true, n_rows, n, scale);
    } else {
        scores_of(scores, q, keys, false, n_rows, n, scale);
    }
}

float tlep_wide_attention_exp(float *scores, uint32_t n_rows)
{
    lanes most = lanes_splat(scores[0]);
    uint32_t t = 0;
    for (; t + LANES <= n_rows; t += LANES) {
        most = lanes_max(most, lanes_load(scores + t));
    }
    float each[LANES];
    lanes_store(each, most);
    float largest = each[0];
    for (uint32_t i = 1; i < LANES; i++) {
        largest = each[i] > largest ? each[i] : largest;
    }
    for (; t < n_rows; t++) {
        largest = scores[t] > largest ? scores[t] : largest;
    }
    for (t = 0; t < n_rows; t++) {
        scores[t] = tlep_expf(scores[t] - largest);
    }
    return 1.0f / tlep_sum(scores, n_rows);
}

/* `chunks` times eight columns at once: each of their sums waits for itself only. */
static inline __attribute__((always_inline)) void mix_columns(float *out, const float *weights,
                                                              const uint8_t *values, bool half,
                                                              uint32_t n_rows, uint32_t n,
                                                              uint32_t from, uint32_t chunks,
                                                              float norm)
{
    size_t row_bytes = (size_t)n * (half ? 2 : 4);
    lanes s[4];
    for (uint32_t c = 0; c < chunks; c++) {
        s[c] = lanes_splat(0.0f);
    }
    for (uint32_t t = 0; t < n_rows; t++, values += row_bytes) {
        lanes weight = lanes_splat(weights[t]);
        for (uint32_t c = 0; c < chunks; c++) {
            s[c] = lanes_mac(s[c], weight, load_cached(values, half, from + c * LANES, n));
        }
    }
    for (uint32_t c = 0; c < chunks; c++) {
        uint32_t i = from + c * LANES;
        store_some(out + i, lanes_mul(s[c], lanes_splat(norm)), n - i);
    }
}

static inline __attribute__((always_inline)) void mix(float *out, const float *weights,
                                                      const uint8_t *values, bool half,
                                                      uint32_t n_rows, uint32_t n, float norm)
{
    uint32_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        mix_columns(out, weights, values, half, n_rows, n, i, 4, norm);
    }
    for (; i < n; i += LANES) {
        mix_columns(out, weights, values, half, n_rows, n, i, 1, norm);
    }
}

void tlep_wide_attention_mix(float *out, const float *weights, const uint8_t *values, bool half,
                             uint32_t n_rows, uint32_t n, float norm)
{
    if (half) {
        mix(out, weights, values, true, n_rows, n, norm);
    } else {
        mix(out, weights, values, false, n_rows, n, norm);
    }
}

#include "kernels/wide_end.h"

#endif
