/* IEEE half precision to and from single, round to nearest even.
 *
 * Cortex-M4F and up convert in one instruction (same bits as the code below); elsewhere software.
 * Inline assembly rather than __fp16, which would tie every user of the header to
 * -mfp16-format=ieee. */
#ifndef TLEP_FP16_H
#define TLEP_FP16_H

#include <stdint.h>

#include "kernels/fmath.h"

/* Every FPU of a Cortex-M (FPv4-SP, FPv5) has the conversion, though GCC's __ARM_FP shows half
 * precision only beside double. */
#if defined(__ARM_FP) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define TLEP_FP16_HARDWARE 1
#endif

/* Where a float multiplication is a call. */
#if defined(__SOFTFP__) || defined(__riscv_float_abi_soft)
#define TLEP_SOFT_FLOAT 1
#endif
/* A half whose fields are already where F32 has them, short of infinities and NaN: 2^112 corrects
 * the bias and normalises denormals. Without an FPU a normal number is widened by an addition. */
static inline float tlep_widen(uint32_t fields)
{
#ifdef TLEP_SOFT_FLOAT
    if (__builtin_expect((fields & 0x0F800000u) != 0, 1)) {
        return tlep_bits_float(fields + (112u << 23));
    }
    if ((fields & 0x7FFFFFFFu) == 0) {
        return tlep_bits_float(fields);
    }
#endif
    return tlep_bits_float(fields) * 0x1p112f;
}

/* Of a finite h. An infinity becomes finite: a model with one has no promised result. */
static inline float tlep_f16_finite(uint16_t h)
{
#ifdef TLEP_FP16_HARDWARE
    float f;
    float in = tlep_bits_float(h);
    __asm__("vcvtb.f32.f16 %0, %1" : "=t"(f) : "t"(in));
    return f;
#else
    return tlep_widen((uint32_t)(int32_t)(int16_t)h << 13 & 0x8FFFE000u);
#endif
}

static inline float tlep_f16_to_f32(uint16_t h)
{
    float f = tlep_f16_finite(h);
#ifndef TLEP_FP16_HARDWARE
    if (__builtin_expect((h & 0x7C00) == 0x7C00, 0)) { /* infinity or NaN */
        f = tlep_bits_float(tlep_float_bits(f) | 0x7F800000u);
    }
#endif
    return f;
}

static inline uint16_t tlep_f32_to_f16(float f)
{
#ifdef TLEP_FP16_HARDWARE
    float out;
    __asm__("vcvtb.f16.f32 %0, %1" : "=t"(out) : "t"(f));
    return (uint16_t)tlep_float_bits(out);
#else
    uint32_t u = tlep_float_bits(f);
    uint32_t sign = (u >> 16) & 0x8000u;
    u &= 0x7FFFFFFFu;
    uint32_t h;
    if (u >= 0x47800000u) { /* 65536 and above, infinity, NaN */
        h = u > 0x7F800000u ? 0x7E00u : 0x7C00u;
    } else if (u < 0x38800000u) { /* below 2^-14: let the FPU round at the denormal's last bit */
        h = tlep_float_bits(tlep_bits_float(u) + 0.5f) - 0x3F000000u;
    } else { /* 65520 and above carries into the exponent and becomes infinity, as it should */
        uint32_t odd = (u >> 13) & 1u;
        h = (u - 0x38000000u + 0x0FFFu + odd) >> 13;
    }
    return (uint16_t)(sign | h);
#endif
}

#endif
