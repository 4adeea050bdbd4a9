/* Eight floats side by side: the unit of every float sum (docs/arithmetic.md, section 2).
 *
 * Compilers do not find this by themselves: an array of eight sums stays in memory on a
 * microcontroller, and eight variables are not vectorised on a desktop. So a `lanes` is two SIMD
 * registers where there are some, and eight named scalars elsewhere; the order of operations is the
 * same. */
#ifndef TLEP_LANES_H
#define TLEP_LANES_H

#include <stdint.h>

#include "kernels/fp16.h"
#include "kernels/kernels.h"

#ifdef __aarch64__
#include <arm_neon.h>
#endif

enum { LANES = 8 };

#ifdef TLEP_SIMD

#ifdef TLEP_WIDE_TARGET /* one register: kernels/wide_begin.h */

typedef float lanes __attribute__((vector_size(32)));

static inline lanes lanes_splat(float f)
{
    return (lanes){f, f, f, f, f, f, f, f};
}

static inline lanes lanes_add(lanes s, lanes a)
{
    return s + a;
}

static inline lanes lanes_mul(lanes a, lanes b)
{
    return a * b;
}

static inline lanes lanes_load_f16(const uint16_t *p)
{
    return (lanes)_mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
}

#else

typedef float tlep_four __attribute__((vector_size(16)));
typedef struct {
    tlep_four low; /* lanes 0 to 3 */
    tlep_four high;
} lanes;

static inline lanes lanes_splat(float f)
{
    tlep_four v = {f, f, f, f};
    return (lanes){v, v};
}

static inline lanes lanes_add(lanes s, lanes a)
{
    return (lanes){s.low + a.low, s.high + a.high};
}

static inline lanes lanes_mul(lanes a, lanes b)
{
    return (lanes){a.low * b.low, a.high * b.high};
}

static inline float lanes_fold(lanes s)
{
    tlep_four t = s.low + s.high;
    return (t[0] + t[2]) + (t[1] + t[3]);
}

/* Halves at a 4-byte aligned address; lanes_load_some_f16 takes any. */
static inline lanes lanes_load_f16(const uint16_t *p)
{
#ifdef __aarch64__
    float16x8_t h = vreinterpretq_f16_u16(vld1q_u16(p));
    return (lanes){(tlep_four)vcvt_f32_f16(vget_low_f16(h)), (tlep_four)vcvt_high_f32_f16(h)};
#else
    float wide[LANES];
    for (uint32_t j = 0; j < LANES; j++) {
        wide[j] = tlep_f16_to_f32(p[j]);
    }
    lanes v;
    __builtin_memcpy(&v, wide, sizeof v);
    return v;
#endif
}

#endif

static inline lanes lanes_load(const float *p)
{
    lanes v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

static inline void lanes_store(float *p, lanes v)
{
    __builtin_memcpy(p, &v, sizeof v);
}

#else

typedef struct {
    float s0, s1, s2, s3, s4, s5, s6, s7;
} lanes;

static inline lanes lanes_splat(float f)
{
    return (lanes){f, f, f, f, f, f, f, f};
}

static inline lanes lanes_load(const float *p)
{
    return (lanes){p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]};
}

static inline void lanes_store(float *p, lanes v)
{
    p[0] = v.s0;
    p[1] = v.s1;
    p[2] = v.s2;
    p[3] = v.s3;
    p[4] = v.s4;
    p[5] = v.s5;
    p[6] = v.s6;
    p[7] = v.s7;
}

static inline lanes lanes_add(lanes s, lanes a)
{
    return (lanes){s.s0 + a.s0, s.s1 + a.s1, s.s2 + a.s2, s.s3 + a.s3,
                   s.s4 + a.s4, s.s5 + a.s5, s.s6 + a.s6, s.s7 + a.s7};
}

static inline lanes lanes_mul(lanes a, lanes b)
{
    return (lanes){a.s0 * b.s0, a.s1 * b.s1, a.s2 * b.s2, a.s3 * b.s3,
                   a.s4 * b.s4, a.s5 * b.s5, a.s6 * b.s6, a.s7 * b.s7};
}

static inline float lanes_fold(lanes s)
{
    return ((s.s0 + s.s4) + (s.s2 + s.s6)) + ((s.s1 + s.s5) + (s.s3 + s.s7));
}

#ifdef TLEP_FP16_HARDWARE

/* Two halves in one float register, and out of it. */
#define F16_PAIR(i, first, second) \
    __builtin_memcpy(&both, __builtin_assume_aligned(p + (i), 4), sizeof both); \
    __asm__("vcvtb.f32.f16 %0, %1" : "=t"(v.first) : "t"(both)); \
    __asm__("vcvtt.f32.f16 %0, %1" : "=t"(v.second) : "t"(both));

static inline lanes lanes_load_f16(const uint16_t *p)
{
    lanes v;
    float both;
    F16_PAIR(0, s0, s1)
    F16_PAIR(2, s2, s3)
    F16_PAIR(4, s4, s5)
    F16_PAIR(6, s6, s7)
    return v;
}

#else

/* Out of line: infinities and NaN are for damaged models, and would cost a branch for each
 * element. */
static __attribute__((noinline, cold, unused)) lanes lanes_load_f16_special(const uint16_t *p)
{
    return (lanes){tlep_f16_to_f32(p[0]), tlep_f16_to_f32(p[1]), tlep_f16_to_f32(p[2]),
                   tlep_f16_to_f32(p[3]), tlep_f16_to_f32(p[4]), tlep_f16_to_f32(p[5]),
                   tlep_f16_to_f32(p[6]), tlep_f16_to_f32(p[7])};
}

/* As tlep_f16_to_f32, but for a half already shifted (with its sign extended) to where F32 has its
 * fields. */
static inline float lanes_widen(int32_t shifted)
{
    return tlep_widen((uint32_t)shifted & 0x8FFFE000u);
}

static inline lanes lanes_load_f16(const uint16_t *p)
{
    uint32_t w[4];
    __builtin_memcpy(w, __builtin_assume_aligned(p, 4), sizeof w);
    /* An exponent of 31 carries into the sign's place when 1 is added to it. */
    uint32_t carries = ((w[0] & 0x7FFF7FFFu) + 0x04000400u) | ((w[1] & 0x7FFF7FFFu) + 0x04000400u) |
                       ((w[2] & 0x7FFF7FFFu) + 0x04000400u) | ((w[3] & 0x7FFF7FFFu) + 0x04000400u);
    if (__builtin_expect(carries & 0x80008000u, 0)) {
        return lanes_load_f16_special(p);
    }
    return (lanes){lanes_widen((int32_t)(w[0] << 16) >> 3), lanes_widen((int32_t)w[0] >> 3),
                   lanes_widen((int32_t)(w[1] << 16) >> 3), lanes_widen((int32_t)w[1] >> 3),
                   lanes_widen((int32_t)(w[2] << 16) >> 3), lanes_widen((int32_t)w[2] >> 3),
                   lanes_widen((int32_t)(w[3] << 16) >> 3), lanes_widen((int32_t)w[3] >> 3)};
}

#endif

#endif

/* s + a · b, with two roundings. */
static inline lanes lanes_mac(lanes s, lanes a, lanes b)
{
    return lanes_add(s, lanes_mul(a, b));
}

/* The first n <= 8 elements, then zeros. */
static inline lanes lanes_load_some(const float *p, uint32_t n)
{
    float some[LANES] = {0};
    __builtin_memcpy(some, p, n * sizeof *p);
    return lanes_load(some);
}

static inline lanes lanes_load_some_f16(const uint16_t *p, uint32_t n)
{
    uint16_t some[LANES] __attribute__((aligned(4))) = {0};
    __builtin_memcpy(some, p, n * sizeof *p);
    return lanes_load_f16(some);
}

#endif
