/* Products of the same weights with several positions' inputs.
 *
 * Cortex-M4, M7 and M33 load and unpack each quantised weight once for four positions. One row at a
 * time: four sums and four inputs are what the registers hold. Their inputs lie in a->packed as the
 * loops want them: for each block four scales, four sums, then for each word of a->q that of the
 * first position, of the second, and so on, so that one LDM brings what meets the same weights. The
 * sums are the same as of kernels_dsp.c: integers, then the same float operations in order.
 *
 * Elsewhere, and for float weights, there is nothing to unpack: one position after the other. */
#include "kernels/kernels.h"

#include <stddef.h>

#include "kernels/fmath.h"
#include "model/gguf.h"

#ifdef TLEP_KERNELS_DSP

_Static_assert(TLEP_BATCH == 4, "the registers below hold four positions");

/* Two elements of a->q. */
typedef uint32_t __attribute__((may_alias)) two;

/* Each position's input quantised, into a->packed. */
static void pack(tlep_act *a, uint32_t block)
{
    for (uint32_t p = 0; p < TLEP_BATCH; p++) {
        tlep_act one = *a;
        one.x += (size_t)p * a->n;
        tlep_quantize(&one, block);
        uint32_t *to = a->packed + p;
        const two *q = (const two *)(const void *)a->q;
        for (uint32_t b = 0; b < a->n / block; b++) {
            to[0] = tlep_float_bits(a->scale[b]);
            to[4] = (uint32_t)a->sum[b];
            to += 8;
            for (const two *end = q + block / 2; q < end; q += 4, to += 16) {
                to[0] = q[0];
                to[4] = q[1];
                to[8] = q[2];
                to[12] = q[3];
            }
        }
    }
}

/* Results of one row, of each position. */
typedef struct {
    float y0, y1, y2, y3;
} quad;

#define INLINE static inline __attribute__((always_inline))
#define REGISTERS \
    register int32_t s0 __asm__("r4"); \
    register int32_t s1 __asm__("r5"); \
    register int32_t s2 __asm__("r6"); \
    register int32_t s3 __asm__("r12"); \
    register uint32_t x0 __asm__("r8"); \
    register uint32_t x1 __asm__("r9"); \
    register uint32_t x2 __asm__("r10"); \
    register uint32_t x3 __asm__("r11"); \
    uint32_t v; \
    uint32_t f;
#define OUTPUTS \
    [w] "+r"(w), [q] "+r"(q), [v] "=&r"(v), [f] "=&r"(f), [s0] "=&r"(s0), [s1] "=&r"(s1), \
        [s2] "=&r"(s2), [s3] "=&r"(s3), [x0] "=&r"(x0), [x1] "=&r"(x1), [x2] "=&r"(x2), \
        [x3] "=&r"(x3), [y0] "+t"(r.y0), [y1] "+t"(r.y1), [y2] "+t"(r.y2), [y3] "+t"(r.y3)
#define CHANGED "cc", "memory", "s8", "s9", "s10", "s11", "s12", "s13", "s14", "s15"

#define LOAD_INPUT "ldmia %[q]!, {r8-r11}\n\t"
#define LOAD_X_SCALES "vldmia %[q]!, {s8-s11}\n\t"
#define LOAD_SUMS "ldmia %[q]!, {r4-r6, r12}\n\t"
#define START(fields) \
    LOAD_INPUT \
    "smuad %[s0], %[" fields "], %[x0]\n\t" \
    "smuad %[s1], %[" fields "], %[x1]\n\t" \
    "smuad %[s2], %[" fields "], %[x2]\n\t" \
    "smuad %[s3], %[" fields "], %[x3]\n\t"
#define MULTIPLY(fields) \
    LOAD_INPUT \
    "smlad %[s0], %[" fields "], %[x0], %[s0]\n\t" \
    "smlad %[s1], %[" fields "], %[x1], %[s1]\n\t" \
    "smlad %[s2], %[" fields "], %[x2], %[s2]\n\t" \
    "smlad %[s3], %[" fields "], %[x3], %[s3]\n\t"

/* s8 to s11 = d · scale of each position; v is the block's d */
#define MULTIPLY_SCALES \
    "vmov s12, %[v]\n\t" \
    "vcvtb.f32.f16 s12, s12\n\t" \
    "vmul.f32 s8, s8, s12\n\t" \
    "vmul.f32 s9, s9, s12\n\t" \
    "vmul.f32 s10, s10, s12\n\t" \
    "vmul.f32 s11, s11, s12\n\t"
/* y += (d · scale) · sum of each position */
#define ADD_BLOCK \
    "vmov s12, s13, %[s0], %[s1]\n\t" \
    "vmov s14, s15, %[s2], %[s3]\n\t" \
    "vcvt.f32.s32 s12, s12\n\t" \
    "vcvt.f32.s32 s13, s13\n\t" \
    "vcvt.f32.s32 s14, s14\n\t" \
    "vcvt.f32.s32 s15, s15\n\t" \
    "vmul.f32 s8, s8, s12\n\t" \
    "vmul.f32 s9, s9, s13\n\t" \
    "vmul.f32 s10, s10, s14\n\t" \
    "vmul.f32 s11, s11, s15\n\t" \
    "vadd.f32 %[y0], %[y0], s8\n\t" \
    "vadd.f32 %[y1], %[y1], s9\n\t" \
    "vadd.f32 %[y2], %[y2], s10\n\t" \
    "vadd.f32 %[y3], %[y3], s11\n\t"

#define ALL_ROWS(one_row, row_bytes) \
    for (uint32_t row = 0; row < rows; row++, y++, w += (row_bytes)) { \
        quad r = one_row(w, a->packed, a->n); \
        y[0] = r.y0; \
        y[rows] = r.y1; \
        y[2 * rows] = r.y2; \
        y[3 * rows] = r.y3; \
    }

/* ---- Q8_0: elements 0 to 3 and 16 to 19, and so on ------------------------------------------- */

#define FOUR(first, from_end) \
    "ldr %[v], [%[w], #-" from_end "]\n\t" \
    "sxtb16 %[f], %[v]\n\t" \
    "sxtb16 %[v], %[v], ror #8\n\t" first("f") MULTIPLY("v")

INLINE quad row_q8_0(const uint8_t *w, const uint32_t *q, uint32_t n)
{
    quad r = {0.0f, 0.0f, 0.0f, 0.0f};
    const uint8_t *end = w + n / 32 * 34;
    REGISTERS
    __asm__ volatile("1:\n\t"
                     "ldrh %[v], [%[w]], #34\n\t"
                     LOAD_X_SCALES MULTIPLY_SCALES
                     "add %[q], %[q], #16\n\t" /* no offset: no use for the sums */
                     FOUR(START, "32") FOUR(MULTIPLY, "16") FOUR(MULTIPLY, "28")
                     FOUR(MULTIPLY, "12") FOUR(MULTIPLY, "24") FOUR(MULTIPLY, "8")
                     FOUR(MULTIPLY, "20") FOUR(MULTIPLY, "4") ADD_BLOCK
                     "cmp %[w], %[end]\n\t"
                     "bne 1b"
                     : OUTPUTS
                     : [end] "r"(end)
                     : CHANGED);
    return r;
}

static void matmul_q8_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    ALL_ROWS(row_q8_0, a->n / 32 * 34)
}

/* ---- Q4_0 and TQ2_0: fields of a word, as in kernels_dsp.c ----------------------------------- */

#define FIELDS(shift) "and %[f], %[mask], %[v], lsr #" shift "\n\t" MULTIPLY("f")
#define FIRST_FIELDS "and %[f], %[mask], %[v]\n\t" MULTIPLY("f")
#define NIBBLES \
    "ldr %[v], [%[w]], #4\n\t" FIRST_FIELDS FIELDS("8") FIELDS("4") FIELDS("12")

INLINE quad row_q4_0(const uint8_t *w, const uint32_t *q, uint32_t n)
{
    quad r = {0.0f, 0.0f, 0.0f, 0.0f};
    const uint8_t *end = w + n / 32 * 18;
    REGISTERS
    __asm__ volatile("1:\n\t"
                     "ldrh %[v], [%[w]], #2\n\t"
                     LOAD_X_SCALES MULTIPLY_SCALES LOAD_SUMS
                     NIBBLES NIBBLES NIBBLES NIBBLES ADD_BLOCK
                     "ldr %[v], %[end]\n\t"
                     "cmp %[w], %[v]\n\t"
                     "bne 1b"
                     : OUTPUTS
                     : [mask] "r"(0x000F000Fu), [end] "m"(end)
                     : CHANGED);
    return r;
}

static void matmul_q4_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    ALL_ROWS(row_q4_0, a->n / 32 * 18)
}

INLINE quad row_tq2_0(const uint8_t *w, const uint32_t *q, uint32_t n)
{
    quad r = {0.0f, 0.0f, 0.0f, 0.0f};
    const uint8_t *end = w + n / 256 * 66;
    const uint8_t *part;
    REGISTERS
    __asm__ volatile("1:\n\t"
                     LOAD_X_SCALES LOAD_SUMS
                     "add %[v], %[w], #64\n\t"
                     "str %[v], %[part]\n\t"
                     "2:\n\t"
                     "ldr %[v], [%[w]], #4\n\t"
                     FIRST_FIELDS FIELDS("8") FIELDS("2") FIELDS("10")
                     FIELDS("4") FIELDS("12") FIELDS("6") FIELDS("14")
                     "ldr %[v], %[part]\n\t"
                     "cmp %[w], %[v]\n\t"
                     "bne 2b\n\t"
                     "ldrh %[v], [%[w]], #2\n\t"
                     MULTIPLY_SCALES ADD_BLOCK
                     "ldr %[v], %[end]\n\t"
                     "cmp %[w], %[v]\n\t"
                     "bne 1b"
                     : OUTPUTS, [part] "=m"(part)
                     : [mask] "r"(0x00030003u), [end] "m"(end)
                     : CHANGED);
    return r;
}

static void matmul_tq2_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    ALL_ROWS(row_tq2_0, a->n / 256 * 66)
}

#endif

void tlep_matmul_batch(float *y, const uint8_t *w, uint32_t type, uint32_t rows, tlep_act *a)
{
#ifdef TLEP_KERNELS_DSP
    uint32_t block = tlep_type_block(type);
    if (block > 1) {
        if (a->block != block) {
            pack(a, block);
            a->block = block;
        }
        if (type == TLEP_TYPE_Q8_0) {
            matmul_q8_0(y, w, rows, a);
        } else if (type == TLEP_TYPE_Q4_0) {
            matmul_q4_0(y, w, rows, a);
        } else {
            matmul_tq2_0(y, w, rows, a);
        }
        return;
    }
#endif
    for (uint32_t p = 0; p < TLEP_BATCH; p++) {
        tlep_act one = *a;
        tlep_act_set(&one, a->x + (size_t)p * a->n, a->n);
        tlep_matvec(y + (size_t)p * rows, w, type, rows, &one);
    }
}
