/* Float reductions in the canonical order: eight strided partial sums, then a fixed tree. */
#include <stddef.h>

#include "kernels/kernels.h"
#include "kernels/kernels_rows.h"
#include "kernels/lanes.h"

/* Two loads that live side by side: of the input, and of a row. */
#ifdef TLEP_FP16_HARDWARE
/* VLDM takes N + 1 cycles on a Cortex-M4 where N VLDRs take up to 2N, but wants consecutive
 * registers: fixed ones. */
#define VLDM(name, r0, r1, r2, r3, r4, r5, r6, r7) \
    static inline lanes name(const float *p) \
    { \
        register float f0 __asm__(#r0); \
        register float f1 __asm__(#r1); \
        register float f2 __asm__(#r2); \
        register float f3 __asm__(#r3); \
        register float f4 __asm__(#r4); \
        register float f5 __asm__(#r5); \
        register float f6 __asm__(#r6); \
        register float f7 __asm__(#r7); \
        __asm__("vldmia %8, {" #r0 "-" #r7 "}" \
                : "=t"(f0), "=t"(f1), "=t"(f2), "=t"(f3), "=t"(f4), "=t"(f5), "=t"(f6), "=t"(f7) \
                : "r"(p), "m"(*(const float (*)[LANES])p)); \
        return (lanes){f0, f1, f2, f3, f4, f5, f6, f7}; \
    }
VLDM(load_input, s16, s17, s18, s19, s20, s21, s22, s23)
VLDM(load_row, s24, s25, s26, s27, s28, s29, s30, s31)
#else
#define load_input lanes_load
#define load_row lanes_load
#endif

float tlep_dot(const float *a, const float *b, uint32_t n)
{
    lanes s = lanes_splat(0.0f);
    for (; n >= LANES; n -= LANES, a += LANES, b += LANES) {
        s = lanes_mac(s, load_row(a), load_input(b));
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
        s = lanes_add(s, load_input(a));
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
            lanes v = load_input(x);
            s0 = lanes_mac(s0, load_row(w0), v);
            s1 = lanes_mac(s1, load_row(w1), v);
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
            lanes v = load_input(x);
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
