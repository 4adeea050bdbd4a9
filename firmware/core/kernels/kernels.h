/* Matrix-vector products over GGUF blocks, in place, and the vector operations around them.
 *
 * kernels.c quantises the input and dispatches; kernels_float.c has the float reductions; the
 * quantised types are in kernels_dsp.c (Cortex-M4/M7/M33: SMLAD), kernels_vector.c (for compilers
 * that vectorise) or kernels_scalar.c (everyone else). Hosts with AVX2 or NEON have wide.h besides;
 * kernels_batch.c takes several positions of a prompt at a time, and dequantize.c a single row.
 * All give the same bits: integer sums are exact, and the float order around them is fixed. */
#ifndef TLEP_KERNELS_H
#define TLEP_KERNELS_H

#include <stdint.h>

/* Whether the compiler has vector registers to fill. */
#if defined(__SSE2__) || defined(__ARM_NEON)
#define TLEP_SIMD 1
#endif

/* Which file's kernels are built. TLEP_KERNELS_SCALAR forces plain C, for comparing on one chip. */
#if defined(TLEP_SIMD)
#define TLEP_KERNELS_VECTOR 1
#elif defined(__ARM_FEATURE_DSP) && !defined(TLEP_KERNELS_SCALAR)
#define TLEP_KERNELS_DSP 1
#elif !defined(TLEP_KERNELS_SCALAR)
#define TLEP_KERNELS_SCALAR 1
#endif

/* How many positions of a prompt go through a layer together: each weight is unpacked once for all
 * of them. Worth memory only where a kernel does that. */
#ifndef TLEP_BATCH
#ifdef TLEP_KERNELS_DSP
#define TLEP_BATCH 4
#else
#define TLEP_BATCH 1
#endif
#endif

/* The input vector of matrix-vector products: F32, and its quantised form for blocks of `block`
 * elements. Quantised once and used for every matrix that shares the input (q, k and v; gate and
 * up). */
typedef struct {
    const float *x; /* (n) set by tlep_act_set */
    uint32_t n;
    uint32_t block; /* 32 or 256: the block size q, scale and sum are valid for; 0: none yet */
    int16_t *q;     /* (n) -127..127, in the order the port's kernels want; wide.h: bytes */
    float *scale;   /* (n / block) x ≈ scale · q */
    int32_t *sum;   /* (n / block) sum of q, or what the port's kernels make of it */
    uint32_t *packed; /* the same of a batch of positions, as kernels_batch.c wants it */
} tlep_act;

/* Announce the next input vector. */
void tlep_act_set(tlep_act *a, const float *x, uint32_t n);

/* y[r] = row r of w · x, for `rows` rows of type `type` (tlep_type) and length a->n. */
void tlep_matvec(float *y, const uint8_t *w, uint32_t type, uint32_t rows, tlep_act *a);

/* The same for TLEP_BATCH positions, whose inputs follow each other in a->x, and their results in
 * y: `rows` of the first, and so on. */
void tlep_matmul_batch(float *y, const uint8_t *w, uint32_t type, uint32_t rows, tlep_act *a);

/* For one position or TLEP_BATCH. */
static inline void tlep_matmul(float *y, const uint8_t *w, uint32_t type, uint32_t rows,
                               tlep_act *a, uint32_t positions)
{
    if (TLEP_BATCH == 1 || positions == 1) {
        tlep_matvec(y, w, type, rows, a);
    } else {
        tlep_matmul_batch(y, w, type, rows, a);
    }
}

/* y = row of `n` weights of type `type` as F32 (the embedding look-up). */
void tlep_dequantize_row(float *y, const uint8_t *w, uint32_t type, uint32_t n);

/* Dot product in the canonical order (docs/arithmetic.md, section 2). */
float tlep_dot(const float *a, const float *b, uint32_t n);

/* Sum in the same order. */
float tlep_sum(const float *a, uint32_t n);

/* gate = silu(gate) · up, where silu(g) = g / (1 + e^-g) */
void tlep_swiglu(float *gate, const float *up, uint32_t n);

/* Blocks whose largest magnitude is under 2^-100 count as zero, so that 127 / largest stays
 * finite. */
#define TLEP_SMALLEST_BITS 0x0D800000u

/* Fill a->q, a->scale and a->sum for this block size, in the port's order. */
void tlep_quantize(tlep_act *a, uint32_t block);

/* One type each: the float ones over a->x, the quantised over blocks of a->q. */
void tlep_matvec_f32(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a);
void tlep_matvec_f16(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a);
void tlep_matvec_q8_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a);
void tlep_matvec_q4_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a);
void tlep_matvec_tq2_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a);

#endif
