/* Float reductions in the canonical order: eight strided partial sums, then a fixed tree. */
#include <stddef.h>

#include "kernels.h"
#include "kernels_rows.h"
#include "lanes.h"

float tlep_dot(const float *a, const float *b, uint32_t n)
{
    lanes s = lanes_splat(0.0f);
    for (; n >= LANES; n -= LANES, a += LANES, b += LANES) {
        s = lanes_mac(s, lanes_load(a), lanes_load(b));
    }
    if (n) {
        s = lanes_mac(s, lanes_load_some(a, n), lanes_load_some(b, n));
    }
    return lanes_fold(s);
}

float tlep_sum(const float *a, uint32_t n)
{
    lanes s = lanes_splat(0.0f);
    for (; n >= LANES; n -= LANES, a += LANES) {
        s = lanes_add(s, lanes_load(a));
    }
    if (n) {
        s = lanes_add(s, lanes_load_some(a, n));
    }
    return lanes_fold(s);
}

void tlep_matvec_f32(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    size_t row_bytes = a->n * sizeof(float);
    for (uint32_t r = 0; r < rows; r += 2, w += 2 * row_bytes) {
        const float *w0 = (const float *)(const void *)w;
        const float *w1 = (const float *)(const void *)partner_row(w, row_bytes, r, rows);
        const float *x = a->x;
        uint32_t n = a->n;
        lanes s0 = lanes_splat(0.0f);
        lanes s1 = lanes_splat(0.0f);
        for (; n >= LANES; n -= LANES, w0 += LANES, w1 += LANES, x += LANES) {
            lanes v = lanes_load(x);
            s0 = lanes_mac(s0, lanes_load(w0), v);
            s1 = lanes_mac(s1, lanes_load(w1), v);
        }
        if (n) {
            lanes v = lanes_load_some(x, n);
            s0 = lanes_mac(s0, lanes_load_some(w0, n), v);
            s1 = lanes_mac(s1, lanes_load_some(w1, n), v);
        }
        store_rows(y, r, rows, lanes_fold(s0), lanes_fold(s1));
    }
}

void tlep_matvec_f16(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    size_t row_bytes = a->n * sizeof(uint16_t);
    uint32_t whole = a->n % 2 ? 0 : a->n / LANES; /* rows of odd length are not 4-byte aligned */
    for (uint32_t r = 0; r < rows; r += 2, w += 2 * row_bytes) {
        const uint16_t *w0 = (const uint16_t *)(const void *)w;
        const uint16_t *w1 = (const uint16_t *)(const void *)partner_row(w, row_bytes, r, rows);
        const float *x = a->x;
        lanes s0 = lanes_splat(0.0f);
        lanes s1 = lanes_splat(0.0f);
        for (uint32_t i = 0; i < whole; i++, w0 += LANES, w1 += LANES, x += LANES) {
            lanes v = lanes_load(x);
            s0 = lanes_mac(s0, lanes_load_f16(w0), v);
            s1 = lanes_mac(s1, lanes_load_f16(w1), v);
        }
        for (uint32_t n = a->n - whole * LANES, k; n; n -= k, w0 += k, w1 += k, x += k) {
            k = n < LANES ? n : LANES;
            lanes v = lanes_load_some(x, k);
            s0 = lanes_mac(s0, lanes_load_some_f16(w0, k), v);
            s1 = lanes_mac(s1, lanes_load_some_f16(w1, k), v);
        }
        store_rows(y, r, rows, lanes_fold(s0), lanes_fold(s1));
    }
}
