/* Float arithmetic with one answer everywhere: docs/arithmetic.md, sections 1 and 3.
 *
 * No libm: every C library rounds expf and sinf its own way, and two boards must not differ. Each
 * function is a written sequence of IEEE single-precision operations; square root and division are
 * exact by IEEE. Coefficients are those of Cephes (Moshier), whose error is within 2 ulp on the
 * ranges used. */
#ifndef TLEP_FMATH_H
#define TLEP_FMATH_H

#include <float.h>
#include <stdint.h>
#include <string.h>

#if FLT_EVAL_METHOD != 0
#error "float expressions must be evaluated in float: on 32-bit x86 build with -mfpmath=sse"
#endif
#ifdef __FAST_MATH__
#error "-ffast-math reorders sums: the output would no longer match the reference"
#endif
#ifdef __clang__ /* GCC does not fuse under -std=c99; Clang does unless told */
#pragma STDC FP_CONTRACT OFF
#endif

static inline uint32_t tlep_float_bits(float f)
{
    uint32_t u;
    __builtin_memcpy(&u, &f, sizeof u);
    return u;
}

static inline float tlep_bits_float(uint32_t u)
{
    float f;
    __builtin_memcpy(&f, &u, sizeof f);
    return f;
}

/* Adding 1.5 · 2^23 leaves the nearest integer (ties to even) in the low mantissa bits: round
 * without a mode switch or a library call, for |x| < 2^22. */
#define TLEP_ROUND_MAGIC 12582912.0f
#define TLEP_ROUND_MAGIC_BITS 0x4B400000u

/* e^x for -87 <= x <= 88. */
static inline float tlep_exp_within(float x)
{
    float shifted = x * 1.44269504088896341f + TLEP_ROUND_MAGIC;
    float n = shifted - TLEP_ROUND_MAGIC;
    float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    float e = ((p * (r * r)) + r) + 1.0f;
    return tlep_bits_float(tlep_float_bits(e) + (tlep_float_bits(shifted) << 23));
}

/* e^x: 0 below -87 (so that no denormal arises), e^88 above 88. Inline, so that loops over it
 * vectorise. */
static inline float tlep_expf(float x)
{
    float c = x > 88.0f ? 88.0f : x;
    c = c < -87.0f ? -87.0f : c;
    float scaled = tlep_exp_within(c);
    return x < -87.0f ? 0.0f : scaled;
}

/* Natural log of a positive, normal x. */
float tlep_logf(float x);

/* Sine and cosine of 0 <= x < 8192 radians. */
void tlep_sincosf(float x, float *sin_x, float *cos_x);

/* Exact by IEEE. The build passes -fno-math-errno, so that this is one instruction and not a
 * call. */
static inline float tlep_sqrtf(float x)
{
    return __builtin_sqrtf(x);
}

#endif
