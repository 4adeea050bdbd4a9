/* Quantised matrix-vector products for cores without SIMD (RV32IM, Cortex-M0+, Xtensa): two rows at
 * a time.
 *
 * Q8_0 shares each load of the input, Q4_0 and TQ2_0 each multiplication, too: packed_rows.h. */
#include "kernels/kernels.h"

#ifdef TLEP_KERNELS_SCALAR

#include "kernels/packed_rows.h"

#ifndef __clang__
/* Left to itself GCC gathers all loads of an unrolled loop first, and spills most of them. */
#pragma GCC optimize("no-schedule-insns", "no-tree-reassoc")
#endif

#ifndef __riscv /* whose 31 registers take more rows: kernels_riscv.c */

void tlep_matvec_q8_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    uint32_t blocks = a->n / 32;
    size_t row_bytes = (size_t)blocks * 34;
    for (uint32_t r = 0; r < rows; r += 2, w += 2 * row_bytes) {
        const uint8_t *w0 = w;
        const uint8_t *w1 = partner_row(w, row_bytes, r, rows);
        const int16_t *q = a->q;
        float acc0 = 0.0f;
        float acc1 = 0.0f;
        for (uint32_t b = 0; b < blocks; b++, w0 += 34, w1 += 34, q += 32) {
            int32_t s0 = 0;
            int32_t s1 = 0;
#pragma GCC unroll 16
            for (uint32_t j = 0; j < 32; j++) {
                s0 += (int8_t)w0[2 + j] * q[j];
                s1 += (int8_t)w1[2 + j] * q[j];
            }
            acc0 += scaled(w0, a->scale[b], s0);
            acc1 += scaled(w1, a->scale[b], s1);
        }
        store_rows(y, r, rows, acc0, acc1);
    }
}

void tlep_matvec_q4_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    uint32_t blocks = a->n / 32;
    size_t row_bytes = (size_t)blocks * 18;
    for (uint32_t r = 0; r < rows; r += 2, w += 2 * row_bytes) {
        const uint8_t *w0 = w;
        const uint8_t *w1 = partner_row(w, row_bytes, r, rows);
        const int16_t *q = a->q;
        float acc0 = 0.0f;
        float acc1 = 0.0f;
        for (uint32_t b = 0; b < blocks; b++, w0 += 18, w1 += 18, q += 32) {
            uint32_t sums = both_less_eight(a->sum[b]);
#pragma GCC unroll 8
            for (uint32_t j = 0; j < 16; j += 2) {
                sums = four_nibbles(sums, two_rows(w0 + 2 + j, w1 + 2 + j), q + j);
            }
            acc0 += scaled(w0, a->scale[b], low_sum(sums));
            acc1 += scaled(w1, a->scale[b], high_sum(sums));
        }
        store_rows(y, r, rows, acc0, acc1);
    }
}

#endif

/* Add the sums of row 0 (the low half, signed) and row 1 (what is left) to *s0 and *s1. */
static inline void unpack(uint32_t sums, int32_t *s0, int32_t *s1)
{
    *s0 += low_sum(sums);
    *s1 += high_sum(sums);
}

void tlep_matvec_tq2_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    const uint32_t mask = 0x00030003u;
    uint32_t blocks = a->n / 256;
    size_t row_bytes = (size_t)blocks * 66;
    for (uint32_t r = 0; r < rows; r += 2, w += 2 * row_bytes) {
        const uint8_t *w0 = w;
        const uint8_t *w1 = partner_row(w, row_bytes, r, rows);
        const int16_t *q = a->q;
        float acc0 = 0.0f;
        float acc1 = 0.0f;
        for (uint32_t b = 0; b < blocks; b++, w0 += 66, w1 += 66) {
            int32_t s0 = -a->sum[b];
            int32_t s1 = s0;
            for (uint32_t half = 0; half < 64; half += 32, q += 128) {
                uint32_t low = 0;  /* bits 0 to 3: elements 0 to 63 of the half, 64 products */
                uint32_t high = 0; /* bits 4 to 7: elements 64 to 127 */
#pragma GCC unroll 4
                for (uint32_t m = 0; m < 32; m += 2) {
                    uint32_t v = two_rows(w0 + half + m, w1 + half + m);
                    low = packed_mac(low, v & mask, q[m]);
                    low = packed_mac(low, v >> 2 & mask, q[m + 32]);
                    high = packed_mac(high, v >> 4 & mask, q[m + 64]);
                    high = packed_mac(high, v >> 6 & mask, q[m + 96]);
                    low = packed_mac(low, v >> 8 & mask, q[m + 1]);
                    low = packed_mac(low, v >> 10 & mask, q[m + 33]);
                    high = packed_mac(high, v >> 12 & mask, q[m + 65]);
                    high = packed_mac(high, v >> 14 & mask, q[m + 97]);
                }
                unpack(low, &s0, &s1);
                unpack(high, &s0, &s1);
            }
            acc0 += scaled(w0 + 64, a->scale[b], s0);
            acc1 += scaled(w1 + 64, a->scale[b], s1);
        }
        store_rows(y, r, rows, acc0, acc1);
    }
}

#endif
