/* Quantised matrix-vector products for cores without SIMD (RV32IM, Cortex-M0+, Xtensa): two rows at
 * a time.
 *
 * Q8_0 shares each load of the input. The fields of Q4_0 and TQ2_0 are small and not negative, so
 * the same field of both rows goes into the halves of one word,
 *
 *     (f0 + f1 · 2^16) · q = f0 · q + (f1 · q) · 2^16,
 *
 * and one multiplication and one addition serve both rows, as long as the low sum stays within 16
 * bits: 17 products of a nibble (15 · 127 each), 86 of two bits (3 · 127 each). Then the halves are
 * taken apart. The offsets -8 and -1 come from the sum of the input, as everywhere. */
#include "kernels/kernels.h"

#ifdef TLEP_KERNELS_SCALAR

#include "kernels/kernels_rows.h"

#ifndef __clang__
/* Left to itself GCC gathers all loads of an unrolled loop first, and spills most of them. */
#pragma GCC optimize("no-schedule-insns", "no-tree-reassoc")
#endif

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

/* The next two bytes of two rows: fields of the first byte at bits 0 and 16, of the second at 8
 * and 24. */
static inline uint32_t two_rows(const uint8_t *w0, const uint8_t *w1)
{
    uint16_t low;
    uint16_t high;
    __builtin_memcpy(&low, __builtin_assume_aligned(w0, 2), sizeof low);
    __builtin_memcpy(&high, __builtin_assume_aligned(w1, 2), sizeof high);
    return low | (uint32_t)high << 16;
}

/* Unsigned, so that a damaged model wraps instead of being undefined. */
static inline uint32_t packed_mac(uint32_t sums, uint32_t fields, int16_t q)
{
    return sums + fields * (uint32_t)(int32_t)q;
}

/* Add the sums of row 0 (the low half, signed) and row 1 (what is left) to *s0 and *s1. */
static inline void unpack(uint32_t sums, int32_t *s0, int32_t *s1)
{
    int32_t low = (int16_t)sums;
    *s0 += low;
    *s1 += (int32_t)(sums - (uint32_t)low) >> 16;
}

void tlep_matvec_q4_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    const uint32_t mask = 0x000F000Fu;
    uint32_t blocks = a->n / 32;
    size_t row_bytes = (size_t)blocks * 18;
    for (uint32_t r = 0; r < rows; r += 2, w += 2 * row_bytes) {
        const uint8_t *w0 = w;
        const uint8_t *w1 = partner_row(w, row_bytes, r, rows);
        const int16_t *q = a->q;
        float acc0 = 0.0f;
        float acc1 = 0.0f;
        for (uint32_t b = 0; b < blocks; b++, w0 += 18, w1 += 18, q += 32) {
            uint32_t low = 0;  /* elements 0 to 15: 16 products */
            uint32_t high = 0; /* elements 16 to 31 */
#pragma GCC unroll 8
            for (uint32_t j = 0; j < 16; j += 2) {
                uint32_t v = two_rows(w0 + 2 + j, w1 + 2 + j);
                low = packed_mac(low, v & mask, q[j]);
                high = packed_mac(high, v >> 4 & mask, q[j + 16]);
                low = packed_mac(low, v >> 8 & mask, q[j + 1]);
                high = packed_mac(high, v >> 12 & mask, q[j + 17]);
            }
            int32_t s0 = -8 * a->sum[b];
            int32_t s1 = s0;
            unpack(low, &s0, &s1);
            unpack(high, &s0, &s1);
            acc0 += scaled(w0, a->scale[b], s0);
            acc1 += scaled(w1, a->scale[b], s1);
        }
        store_rows(y, r, rows, acc0, acc1);
    }
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
