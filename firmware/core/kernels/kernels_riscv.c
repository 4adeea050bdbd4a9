/* Quantised products for RISC-V, which has registers for four rows: each load of the input serves
 * four times. Otherwise as kernels_scalar.c. */
#include "kernels/kernels.h"

#if defined(TLEP_KERNELS_SCALAR) && defined(__riscv)

#include "kernels/packed_rows.h"

#ifndef __clang__
#pragma GCC optimize("no-schedule-insns", "no-tree-reassoc")
#endif

/* Left to itself GCC loads all inputs of a block first, and has no registers for them. */
#define IN_ORDER(s0, s1, s2, s3) \
    __asm__ volatile("" : "+r"(s0), "+r"(s1), "+r"(s2), "+r"(s3)::"memory")
#define IN_ORDER2(s01, s23) __asm__ volatile("" : "+r"(s01), "+r"(s23)::"memory")

void tlep_matvec_q8_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    const tlep_act in = *a;
    uint32_t blocks = in.n / 32;
    size_t row_bytes = (size_t)blocks * 34;
    for (uint32_t r = 0; r < rows; r += 4, w += 4 * row_bytes) {
        const uint8_t *w0 = w;
        const uint8_t *w1 = r + 1 < rows ? w0 + row_bytes : w;
        const uint8_t *w2 = r + 2 < rows ? w1 + row_bytes : w;
        const uint8_t *w3 = r + 3 < rows ? w2 + row_bytes : w;
        const int16_t *q = in.q;
        float acc0 = 0.0f;
        float acc1 = 0.0f;
        float acc2 = 0.0f;
        float acc3 = 0.0f;
        for (uint32_t b = 0; b < blocks; b++, q += 32) {
            int32_t s0 = 0;
            int32_t s1 = 0;
            int32_t s2 = 0;
            int32_t s3 = 0;
#pragma GCC unroll 32
            for (uint32_t j = 0; j < 32; j++) {
                int32_t x = q[j];
                s0 += (int8_t)w0[2 + j] * x;
                s1 += (int8_t)w1[2 + j] * x;
                s2 += (int8_t)w2[2 + j] * x;
                s3 += (int8_t)w3[2 + j] * x;
                IN_ORDER(s0, s1, s2, s3);
            }
            float scale = in.scale[b];
            acc0 += scaled(w0, scale, s0);
            acc1 += scaled(w1, scale, s1);
            acc2 += scaled(w2, scale, s2);
            acc3 += scaled(w3, scale, s3);
            w0 += 34;
            w1 += 34;
            w2 += 34;
            w3 += 34;
        }
        store_rows(y, r, rows, acc0, acc1);
        if (r + 2 < rows) {
            store_rows(y, r + 2, rows, acc2, acc3);
        }
    }
}

void tlep_matvec_q4_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    const tlep_act in = *a;
    uint32_t blocks = in.n / 32;
    size_t row_bytes = (size_t)blocks * 18;
    for (uint32_t r = 0; r < rows; r += 4, w += 4 * row_bytes) {
        const uint8_t *w0 = w;
        const uint8_t *w1 = r + 1 < rows ? w0 + row_bytes : w;
        const uint8_t *w2 = r + 2 < rows ? w1 + row_bytes : w;
        const uint8_t *w3 = r + 3 < rows ? w2 + row_bytes : w;
        const int16_t *q = in.q;
        float acc0 = 0.0f;
        float acc1 = 0.0f;
        float acc2 = 0.0f;
        float acc3 = 0.0f;
        for (uint32_t b = 0; b < blocks; b++, q += 32) {
            uint32_t s01 = both_less_eight(in.sum[b]);
            uint32_t s23 = s01;
#pragma GCC unroll 8
            for (uint32_t j = 0; j < 16; j += 2) {
                s01 = four_nibbles(s01, two_rows(w0 + 2 + j, w1 + 2 + j), q + j);
                s23 = four_nibbles(s23, two_rows(w2 + 2 + j, w3 + 2 + j), q + j);
                IN_ORDER2(s01, s23);
            }
            float scale = in.scale[b];
            acc0 += scaled(w0, scale, low_sum(s01));
            acc1 += scaled(w1, scale, high_sum(s01));
            acc2 += scaled(w2, scale, low_sum(s23));
            acc3 += scaled(w3, scale, high_sum(s23));
            w0 += 18;
            w1 += 18;
            w2 += 18;
            w3 += 18;
        }
        store_rows(y, r, rows, acc0, acc1);
        if (r + 2 < rows) {
            store_rows(y, r + 2, rows, acc2, acc3);
        }
    }
}

#endif
