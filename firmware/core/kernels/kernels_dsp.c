/* Quantised matrix-vector products for Cortex-M4, M7 and M33: two 16-bit MACs an instruction
 * (SMLAD).
 *
 * Four packed weights are one word. For Q8_0, SXTB16 widens bytes 0 and 2, then (rotated by 8) 1
 * and 3; for Q4_0 and TQ2_0 one AND with a shifted operand picks the fields two bytes apart. So the
 * input is stored x0 x2 x1 x3 (kernels.c), and the -8 and -1 offsets become a start value taken
 * from the sum of the input.
 *
 * Two rows share each load of the input. Blocks of 34, 18 and 66 bytes leave the words unaligned,
 * which these cores allow in normal memory. Instructions per multiply-accumulate:
 * docs/arithmetic.md, section 9. */
#include "kernels/kernels.h"

#ifdef TLEP_KERNELS_DSP

#include <arm_acle.h>
#include "kernels/kernels_rows.h"

#ifndef __clang__
/* Scheduling for load latencies makes GCC spill in these loops: up to 1.7 times the
 * instructions. */
#pragma GCC optimize("no-schedule-insns")
#endif

#define KERNEL __attribute__((noinline)) /* the loops want every register */

static inline uint32_t word(const uint8_t *p)
{
    uint32_t w;
    __builtin_memcpy(&w, p, sizeof w); /* one LDR; under -ffreestanding GCC would call memcpy */
    return w;
}

/* Inputs q[at .. at + 3]: one LDRD, which GCC does not form by itself. */
#define LOAD_INPUT(q, at, x02, x13) \
    __asm__("ldrd %0, %1, [%2, %3]" \
            : "=r"(x02), "=r"(x13) \
            : "r"(q), "i"(2 * (at)), "m"(*(const int16_t (*)[4])((q) + (at))))

static inline uint32_t even_bytes(uint32_t w)
{
    uint32_t out;
    __asm__("sxtb16 %0, %1" : "=r"(out) : "r"(w));
    return out;
}

static inline uint32_t odd_bytes(uint32_t w)
{
    uint32_t out;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(out) : "r"(w));
    return out;
}

static inline int32_t mac2(int32_t sum, uint32_t w, uint32_t x)
{
    return __smlad((int16x2_t)w, (int16x2_t)x, sum);
}

/* A constant the compiler cannot see: as an immediate it would cost AND its free shift of the other
 * operand. */
static inline uint32_t in_register(uint32_t constant)
{
    __asm__("" : "+r"(constant));
    return constant;
}

KERNEL void tlep_matvec_q8_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
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
            uint32_t x02;
            uint32_t x13;
            uint32_t v;
#define STEP(at) \
    LOAD_INPUT(q, at, x02, x13); \
    v = word(w0 + 2 + (at)); \
    s0 = mac2(mac2(s0, even_bytes(v), x02), odd_bytes(v), x13); \
    v = word(w1 + 2 + (at)); \
    s1 = mac2(mac2(s1, even_bytes(v), x02), odd_bytes(v), x13);
            STEP(0) STEP(4) STEP(8) STEP(12) STEP(16) STEP(20) STEP(24) STEP(28)
#undef STEP
            acc0 += scaled(w0, a->scale[b], s0);
            acc1 += scaled(w1, a->scale[b], s1);
        }
        store_rows(y, r, rows, acc0, acc1);
    }
}

/* Multiply the fields at bits `shift` of v0 and v1, bytes 0 and 2, then those of bytes 1 and 3. */
#define STEP(at, shift) \
    LOAD_INPUT(q, at, x02, x13); \
    s0 = mac2(mac2(s0, v0 >> (shift) & mask, x02), v0 >> ((shift) + 8) & mask, x13); \
    s1 = mac2(mac2(s1, v1 >> (shift) & mask, x02), v1 >> ((shift) + 8) & mask, x13);

KERNEL void tlep_matvec_q4_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    uint32_t mask = in_register(0x000F000Fu);
    uint32_t blocks = a->n / 32;
    size_t row_bytes = (size_t)blocks * 18;
    for (uint32_t r = 0; r < rows; r += 2, w += 2 * row_bytes) {
        const uint8_t *w0 = w;
        const uint8_t *w1 = partner_row(w, row_bytes, r, rows);
        const int16_t *q = a->q;
        float acc0 = 0.0f;
        float acc1 = 0.0f;
        for (uint32_t b = 0; b < blocks; b++, w0 += 18, w1 += 18, q += 32) {
            int32_t s0 = -8 * a->sum[b];
            int32_t s1 = s0;
            uint32_t x02;
            uint32_t x13;
            uint32_t v0;
            uint32_t v1;
#define WORD(at) \
    v0 = word(w0 + 2 + (at)); \
    v1 = word(w1 + 2 + (at)); \
    STEP(at, 0) STEP((at) + 16, 4)
            WORD(0) WORD(4) WORD(8) WORD(12)
#undef WORD
            acc0 += scaled(w0, a->scale[b], s0);
            acc1 += scaled(w1, a->scale[b], s1);
        }
        store_rows(y, r, rows, acc0, acc1);
    }
}

KERNEL void tlep_matvec_tq2_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    uint32_t mask = in_register(0x00030003u);
    uint32_t blocks = a->n / 256;
    size_t row_bytes = (size_t)blocks * 66;
    for (uint32_t r = 0; r < rows; r += 2, w += 2 * row_bytes) {
        const uint8_t *w0 = w;
        const uint8_t *w1 = partner_row(w, row_bytes, r, rows);
        const int16_t *q = a->q;
        float acc0 = 0.0f;
        float acc1 = 0.0f;
        for (uint32_t b = 0; b < blocks; b++, w0 += 2, w1 += 2) {
            int32_t s0 = -a->sum[b];
            int32_t s1 = s0;
            for (uint32_t half = 0; half < 2; half++, q += 96) {
                for (const int16_t *end = q + 32; q < end; q += 8, w0 += 8, w1 += 8) {
                    uint32_t x02;
                    uint32_t x13;
                    uint32_t v0;
                    uint32_t v1;
#define WORD(at) \
    v0 = word(w0 + (at)); \
    v1 = word(w1 + (at)); \
    STEP(at, 0) STEP((at) + 32, 2) STEP((at) + 64, 4) STEP((at) + 96, 6)
                    WORD(0) WORD(4)
#undef WORD
                }
            }
            acc0 += scaled(w0, a->scale[b], s0);
            acc1 += scaled(w1, a->scale[b], s1);
        }
        store_rows(y, r, rows, acc0, acc1);
    }
}

#endif
