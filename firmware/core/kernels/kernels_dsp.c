/* Quantised matrix-vector products for Cortex-M4, M7 and M33: two 16-bit MACs an instruction
 * (SMLAD).
 *
 * Four packed weights are one word. For Q8_0, SXTB16 widens bytes 0 and 2, then (rotated by 8) 1
 * and 3; for Q4_0 and TQ2_0 one AND with a shifted operand picks the fields two bytes apart, and
 * the -8 and -1 offsets become a start value taken from the sum of the input. The input is stored
 * in the order in which the fields of Q4_0 or TQ2_0 come out (tlep_quantize), eight to one LDM.
 *
 * Two rows share each load of the input. Blocks of 34, 18 and 66 bytes leave the words unaligned,
 * which these cores allow in normal memory. The loops over blocks are assembly: GCC forms neither
 * LDM nor the moves of two registers, and spends a fifth of the time on the ends of blocks.
 * Instructions per multiply-accumulate: docs/arithmetic.md, section 9. */
#include "kernels/kernels.h"

#ifdef TLEP_KERNELS_DSP

#include <stddef.h>

#include "kernels/fmath.h"
#include "kernels/kernels_rows.h"

#define INLINE static inline __attribute__((always_inline))

/* Results of two rows, and what follows the second. */
typedef struct {
    float y0, y1;
    const uint8_t *next;
} pair;

/* y = w · x, two rows at a time; an odd last row comes with the one above it, or with itself. The
 * loop must not know, and its code must be there once. */
#define ALL_ROWS(two_rows, row_bytes) \
    const tlep_act in = *a; /* whose fields the assembly cannot change */ \
    float one[2]; \
    float *out = rows == 1 ? one : y; \
    size_t second = rows == 1 ? 0 : (row_bytes); \
    for (uint32_t left = rows == 1 ? 2 : rows; left; left = left ? 2 : 0) { \
        for (; left >= 2; left -= 2, out += 2) { \
            pair p = two_rows(w, w + second, in); \
            out[0] = p.y0; \
            out[1] = p.y1; \
            w = p.next; \
        } \
        w -= second; \
        out -= 1; \
    } \
    if (rows == 1) { \
        *y = one[0]; \
    }

/* Where one LDM puts four words. */
#define REGISTERS_OF_FOUR \
    register uint32_t x0 __asm__("r8"); \
    register uint32_t x1 __asm__("r9"); \
    register uint32_t x2 __asm__("r10"); \
    register uint32_t x3 __asm__("r11");

/* Registers of the loops: eight inputs x, weights v and fields f of them, sums of two rows. */
#define REGISTERS \
    REGISTERS_OF_FOUR \
    uint32_t v; \
    uint32_t f; \
    int32_t s0; \
    int32_t s1;
#define OUTPUTS \
    [w0] "+r"(w0), [w1] "+r"(w1), [q] "+r"(q), [v] "=&r"(v), [f] "=&r"(f), [x0] "=&r"(x0), [x1] "=&r"(x1), [x2] "=&r"(x2), [x3] "=&r"(x3)
#define LOAD_INPUT "ldmia %[q]!, {r8-r11}\n\t"

/* s8, s9 = the scales of two blocks; the pointers move on. */
#define LOAD_SCALES(block_bytes) \
    "ldrh %[v], [%[w0]], #" block_bytes "\n\t" \
    "ldrh %[f], [%[w1]], #" block_bytes "\n\t" \
    "vmov s8, s9, %[v], %[f]\n\t" \
    "vcvtb.f32.f16 s8, s8\n\t" \
    "vcvtb.f32.f16 s9, s9\n\t"

/* y += (d · scale) · sum for both rows */
#define ADD_BLOCK \
    "vldmia %[scale]!, {s10}\n\t" \
    "vmov s11, s12, %[s0], %[s1]\n\t" \
    "vmul.f32 s8, s8, s10\n\t" \
    "vmul.f32 s9, s9, s10\n\t" \
    "vcvt.f32.s32 s11, s11\n\t" \
    "vcvt.f32.s32 s12, s12\n\t" \
    "vmul.f32 s8, s8, s11\n\t" \
    "vmul.f32 s9, s9, s12\n\t" \
    "vadd.f32 %[y0], %[y0], s8\n\t" \
    "vadd.f32 %[y1], %[y1], s9\n\t"
#define SCALES "s8", "s9", "s10", "s11", "s12"

/* ---- Q8_0 ------------------------------------------------------------------------------------ */

#define FIRST(s, x) "smuad %[" s "], %[f], %[" x "]\n\t"
#define NEXT(s, x) "smlad %[" s "], %[f], %[" x "], %[" s "]\n\t"
#define FOUR(step, w, from_end, s, even, odd) \
    "ldr %[v], [%[" w "], #-" from_end "]\n\t" \
    "sxtb16 %[f], %[v]\n\t" \
    "sxtb16 %[v], %[v], ror #8\n\t" step(s, even) \
    "smlad %[" s "], %[v], %[" odd "], %[" s "]\n\t"
/* Elements 0 to 3 and 16 to 19, and so on: the order that Q4_0 wants. */
#define EIGHT(step, low, high) \
    LOAD_INPUT FOUR(step, "w0", low, "s0", "x0", "x1") FOUR(step, "w1", low, "s1", "x0", "x1") \
        FOUR(NEXT, "w0", high, "s0", "x2", "x3") FOUR(NEXT, "w1", high, "s1", "x2", "x3")

INLINE pair two_rows_q8_0(const uint8_t *w0, const uint8_t *w1, tlep_act in)
{
    const int16_t *q = in.q;
    const float *scale = in.scale;
    const float *end = scale + in.n / 32;
    pair p = {0.0f, 0.0f, NULL};
    REGISTERS
    __asm__ volatile("1:\n\t" LOAD_SCALES("34")
                     EIGHT(FIRST, "32", "16") EIGHT(NEXT, "28", "12")
                     EIGHT(NEXT, "24", "8") EIGHT(NEXT, "20", "4") ADD_BLOCK
                     "cmp %[scale], %[end]\n\t"
                     "bne 1b"
                     : OUTPUTS, [s0] "=&r"(s0), [s1] "=&r"(s1), [scale] "+r"(scale), [y0] "+t"(p.y0), [y1] "+t"(p.y1)
                     : [end] "r"(end)
                     : "cc", "memory", SCALES);
    p.next = w1;
    return p;
}

void tlep_matvec_q8_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    ALL_ROWS(two_rows_q8_0, a->n / 32 * 34)
}

/* ---- Q4_0 ------------------------------------------------------------------------------------ */

/* Four weights of the word v: the fields at bit `shift` of its halves, and those eight bits on. */
#define FIELDS_OF(v, s, shift, even, odd) \
    "and %[f], %[mask], %[" v "], lsr #" shift "\n\t" NEXT(s, even) \
    "and %[f], %[mask], %[" v "], lsr #8+" shift "\n\t" NEXT(s, odd)
#define FIRST_FIELDS_OF(v, s) FIRST_FIELDS_FROM(s, v, s)
#define FIRST_FIELDS_FROM(start, v, s) \
    "and %[f], %[mask], %[" v "]\n\t" \
    "smlad %[" s "], %[f], %[x0], %[" start "]\n\t" \
    "and %[f], %[mask], %[" v "], lsr #8\n\t" NEXT(s, "x1")
#define NIBBLES(start, w, s) \
    "ldr %[v], [%[" w "]], #4\n\t" FIRST_FIELDS_FROM(start, "v", s) \
        FIELDS_OF("v", s, "4", "x2", "x3")
#define SIXTEEN(start1) LOAD_INPUT NIBBLES(start1, "w1", "s1") NIBBLES("s0", "w0", "s0")

INLINE pair two_rows_q4_0(const uint8_t *w0, const uint8_t *w1, tlep_act in)
{
    const int16_t *q = in.q;
    const float *scale = in.scale;
    const int32_t *offset = in.sum;
    const float *end = scale + in.n / 32;
    pair p = {0.0f, 0.0f, NULL};
    REGISTERS
    __asm__ volatile("1:\n\t" LOAD_SCALES("2")
                     "ldr %[s0], [%[offset]], #4\n\t" /* where both sums start */
                     SIXTEEN("s0") SIXTEEN("s1") SIXTEEN("s1") SIXTEEN("s1") ADD_BLOCK
                     "ldr %[v], %[end]\n\t"
                     "cmp %[scale], %[v]\n\t"
                     "bne 1b"
                     : OUTPUTS, [s0] "=&r"(s0), [s1] "=&r"(s1), [scale] "+r"(scale), [offset] "+r"(offset), [y0] "+t"(p.y0),
                       [y1] "+t"(p.y1)
                     : [mask] "r"(0x000F000Fu), [end] "m"(end)
                     : "cc", "memory", SCALES);
    p.next = w1;
    return p;
}

void tlep_matvec_q4_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    ALL_ROWS(two_rows_q4_0, a->n / 32 * 18)
}

/* ---- TQ2_0 ----------------------------------------------------------------------------------- */

/* Sixteen weights of both rows: bits 0 to 3 of each byte, then 4 to 7. */
#define WORDS \
    "ldr %[v], [%[w0]], #4\n\t" \
    "ldr %[u], [%[w1]], #4\n\t" LOAD_INPUT FIRST_FIELDS_OF("v", "s0") FIELDS_OF("v", "s0", "2", "x2", "x3") \
    FIRST_FIELDS_OF("u", "s1") FIELDS_OF("u", "s1", "2", "x2", "x3") \
        LOAD_INPUT FIELDS_OF("v", "s0", "4", "x0", "x1") FIELDS_OF("v", "s0", "6", "x2", "x3") \
            FIELDS_OF("u", "s1", "4", "x0", "x1") FIELDS_OF("u", "s1", "6", "x2", "x3")

INLINE pair two_rows_tq2_0(const uint8_t *w0, const uint8_t *w1, tlep_act in)
{
    const int16_t *q = in.q;
    pair p = {0.0f, 0.0f, NULL};
    for (uint32_t b = 0; b < in.n / 256; b++, w0 += 2, w1 += 2) {
        const uint8_t *end = w0 + 64;
        REGISTERS
        uint32_t u;
        s0 = in.sum[b];
        s1 = s0;
        __asm__ volatile("1:\n\t" WORDS WORDS
                         "cmp %[w0], %[end]\n\t"
                         "bne 1b"
                         : OUTPUTS, [s0] "+r"(s0), [s1] "+r"(s1), [u] "=&r"(u)
                         : [mask] "r"(0x00030003u), [end] "r"(end)
                         : "cc", "memory");
        p.y0 += scaled(w0, in.scale[b], s0);
        p.y1 += scaled(w1, in.scale[b], s1);
    }
    p.next = w1;
    return p;
}

void tlep_matvec_tq2_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    ALL_ROWS(two_rows_tq2_0, a->n / 256 * 66)
}

/* ---- The input ------------------------------------------------------------------------------- */

/* Twice the largest magnitude's bits of the n floats from x on: shifting drops the sign. */
static uint32_t doubled_largest(const float *x, uint32_t n)
{
    REGISTERS_OF_FOUR
    uint32_t largest = 0;
    const float *end = x + n;
#define LARGER(value) \
    "cmp %[largest], %[" value "], lsl #1\n\t" \
    "it lo\n\t" \
    "lsllo %[largest], %[" value "], #1\n\t"
    while (x != end) {
        __asm__("ldmia %[x]!, {r8-r11}\n\t" LARGER("x0") LARGER("x1") LARGER("x2") LARGER("x3")
                "ldmia %[x]!, {r8-r11}\n\t" LARGER("x0") LARGER("x1") LARGER("x2") LARGER("x3")
                : [x] "+r"(x), [largest] "+r"(largest), [x0] "=&r"(x0), [x1] "=&r"(x1),
                  [x2] "=&r"(x2), [x3] "=&r"(x3)
                :
                : "cc", "memory");
    }
#undef LARGER
    return largest;
}

/* Quantise four floats to *q, as x0 x2 x1 x3, and add them to sum; both pointers move on. */
#define QUANTIZE_FOUR \
    __asm__("vldmia %[x]!, {s8-s11}\n\t" \
            "vmul.f32 s8, s8, %[inverse]\n\t" \
            "vmul.f32 s9, s9, %[inverse]\n\t" \
            "vmul.f32 s10, s10, %[inverse]\n\t" \
            "vmul.f32 s11, s11, %[inverse]\n\t" \
            "vadd.f32 s8, s8, %[magic]\n\t" \
            "vadd.f32 s9, s9, %[magic]\n\t" \
            "vadd.f32 s10, s10, %[magic]\n\t" \
            "vadd.f32 s11, s11, %[magic]\n\t" \
            "vmov %[even], %[odd], s8, s9\n\t" \
            "vmov %[third], %[fourth], s10, s11\n\t" \
            "pkhbt %[even], %[even], %[third], lsl #16\n\t" \
            "pkhbt %[odd], %[odd], %[fourth], lsl #16\n\t" \
            "smlad %[sum], %[even], %[ones], %[sum]\n\t" \
            "smlad %[sum], %[odd], %[ones], %[sum]\n\t" \
            "strd %[even], %[odd], [%[q]]\n\t" \
            "add %[q], %[q], %[step]" \
            : [x] "+r"(x), [q] "+r"(q), [sum] "+r"(sum), [even] "=&r"(even), [odd] "=&r"(odd), \
              [third] "=&r"(third), [fourth] "=&r"(fourth) \
            : [inverse] "t"(inverse), [magic] "t"(TLEP_ROUND_MAGIC), [ones] "r"(0x00010001u), \
              [step] "r"(step) \
            : "memory", "s8", "s9", "s10", "s11")

/* Blocks of `block` elements. Within each `span` of them the groups of four that lie `run` apart
 * become neighbours: those whose weights share a word. */
static void quantize(tlep_act *a, uint32_t block, uint32_t span, uint32_t run, int32_t offset)
{
    const float *x = a->x;
    uint8_t *out = (uint8_t *)a->q;
    uint32_t step = 8 * (span / run);
    uint32_t even, odd, third, fourth;
    for (uint32_t b = 0; b < a->n / block; b++) {
        uint32_t largest = doubled_largest(x, block) >> 1;
        float amax = tlep_bits_float(largest);
        float inverse = largest < TLEP_SMALLEST_BITS ? 0.0f : 127.0f / amax;
        int32_t sum = 0;
        for (uint32_t s = 0; s < block; s += span, out += 2 * span) {
            for (uint32_t at = 0; at < step; at += 8) {
                uint8_t *q = out + at;
                for (const float *end = x + run; x < end;) {
                    QUANTIZE_FOUR;
                    QUANTIZE_FOUR;
                }
            }
        }
        a->scale[b] = largest < TLEP_SMALLEST_BITS ? 0.0f : amax / 127.0f;
        a->sum[b] = offset * sum;
    }
}

void tlep_quantize(tlep_act *a, uint32_t block)
{
    if (block == 32) {
        quantize(a, 32, 32, 16, -8);
    } else {
        quantize(a, 256, 128, 32, -1);
    }
}

#endif
