#include "kernels/kernels.h"

#include <stddef.h>

#include "kernels/fmath.h"
#include "kernels/fp16.h"
#include "kernels/wide.h"
#include "model/gguf.h"

/* ---- Quantising the input -------------------------------------------------------------------- */

#ifndef TLEP_KERNELS_DSP

static uint32_t largest_magnitude_bits(const float *x, uint32_t n)
{
    uint32_t largest = 0; /* positive floats order as their bits do, and integers vectorise */
    for (uint32_t i = 0; i < n; i++) {
        uint32_t bits = tlep_float_bits(x[i]) & 0x7FFFFFFFu;
        largest = bits > largest ? bits : largest;
    }
    return largest;
}

/* The nearest integer, plus TLEP_ROUND_MAGIC_BITS: its low half is the integer. */
static inline uint32_t quantize(float x, float inverse)
{
    return tlep_float_bits(x * inverse + TLEP_ROUND_MAGIC);
}

void tlep_quantize(tlep_act *a, uint32_t block)
{
    for (uint32_t b = 0; b < a->n / block; b++) {
        const float *x = a->x + (size_t)b * block;
        int16_t *q = a->q + (size_t)b * block;
        uint32_t largest = largest_magnitude_bits(x, block);
        float amax = tlep_bits_float(largest);
        float inverse = largest < TLEP_SMALLEST_BITS ? 0.0f : 127.0f / amax;
        uint32_t sum = 0 - block * TLEP_ROUND_MAGIC_BITS; /* modulo 2^32 */
        for (uint32_t i = 0; i < block; i += 4) {
            uint32_t q0 = quantize(x[i], inverse);
            uint32_t q1 = quantize(x[i + 1], inverse);
            uint32_t q2 = quantize(x[i + 2], inverse);
            uint32_t q3 = quantize(x[i + 3], inverse);
            q[i] = (int16_t)q0;
            q[i + 1] = (int16_t)q1;
            q[i + 2] = (int16_t)q2;
            q[i + 3] = (int16_t)q3;
            sum += (q0 + q1) + (q2 + q3);
        }
        a->scale[b] = largest < TLEP_SMALLEST_BITS ? 0.0f : amax / 127.0f;
        a->sum[b] = (int32_t)sum;
    }
}

#endif

void tlep_act_set(tlep_act *a, const float *x, uint32_t n)
{
    a->x = x;
    a->n = n;
    a->block = 0;
}

/* ---- Dispatch -------------------------------------------------------------------------------- */

void tlep_matvec(float *y, const uint8_t *w, uint32_t type, uint32_t rows, tlep_act *a)
{
    if (TLEP_WIDE) {
        tlep_wide_matvec(y, w, type, rows, a);
        return;
    }
    uint32_t block = tlep_type_block(type);
    if (block > 1 && a->block != block) {
        tlep_quantize(a, block);
        a->block = block;
    }
    switch (type) {
    case TLEP_TYPE_F32: tlep_matvec_f32(y, w, rows, a); break;
    case TLEP_TYPE_F16: tlep_matvec_f16(y, w, rows, a); break;
    case TLEP_TYPE_Q4_0: tlep_matvec_q4_0(y, w, rows, a); break;
    case TLEP_TYPE_Q8_0: tlep_matvec_q8_0(y, w, rows, a); break;
    case TLEP_TYPE_TQ2_0: tlep_matvec_tq2_0(y, w, rows, a); break;
    default: break; /* tlep_gguf_open lets no other type through */
    }
}

/* ---- The feed-forward layer's gate ----------------------------------------------------------- */

void tlep_swiglu(float *gate, const float *up, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        float g = gate[i];
#ifdef TLEP_SIMD
        float e = tlep_expf(-g);
#else /* a branch costs less than clamping, where no loop is vectorised */
        float x = -g;
        if (__builtin_expect((tlep_float_bits(x) & 0x7FFFFFFFu) > 0x42AE0000u, 0)) { /* 87 */
            x = x > 88.0f ? 88.0f : x < -87.0f ? -87.0f : x; /* 1 + e^-87 is 1 as well */
        }
        float e = tlep_exp_within(x);
#endif
        gate[i] = (g / (1.0f + e)) * up[i];
    }
}
