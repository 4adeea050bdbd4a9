/* The instructions of the wide kernels on 64-bit Arm: as wide_avx2.h, whose comments hold here. */
#ifndef TLEP_WIDE_NEON_H
#define TLEP_WIDE_NEON_H

#include <arm_neon.h>
#include <stddef.h>

typedef int8x16x2_t bytes;
typedef int16x8_t sums16;
typedef int32x4_t sums32;

static inline bytes bytes_load(const void *p)
{
    const int8_t *b = p;
    return (bytes){{vld1q_s8(b), vld1q_s8(b + 16)}};
}

static inline bytes bytes_of_nibbles(const void *p)
{
    uint8x16_t v = vld1q_u8(p);
    return (bytes){{vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(15))),
                    vreinterpretq_s8_u8(vshrq_n_u8(v, 4))}};
}

/* A shift by a variable, to the left by a negative number: as a constant it would have to be the
 * compiler's before inlining. */
static inline bytes bytes_of_pairs(bytes v, int at)
{
    int8x16_t right = vdupq_n_s8((int8_t)-at);
    uint8x16_t three = vdupq_n_u8(3);
    uint8x16_t low = vshlq_u8(vreinterpretq_u8_s8(v.val[0]), right);
    uint8x16_t high = vshlq_u8(vreinterpretq_u8_s8(v.val[1]), right);
    return (bytes){{vreinterpretq_s8_u8(vandq_u8(low, three)),
                    vreinterpretq_s8_u8(vandq_u8(high, three))}};
}

static inline sums16 sums16_zero(void)
{
    return vdupq_n_s16(0);
}

static inline sums16 sums16_mac(sums16 s, bytes w, bytes q)
{
    s = vmlal_s8(s, vget_low_s8(w.val[0]), vget_low_s8(q.val[0]));
    s = vmlal_high_s8(s, w.val[0], q.val[0]);
    s = vmlal_s8(s, vget_low_s8(w.val[1]), vget_low_s8(q.val[1]));
    return vmlal_high_s8(s, w.val[1], q.val[1]);
}

static inline sums32 sums32_widen(sums16 s)
{
    return vpaddlq_s16(s);
}

static inline sums32 sums32_dot(bytes w, bytes q)
{
#ifdef __ARM_FEATURE_DOTPROD
    return vdotq_s32(vdotq_s32(vdupq_n_s32(0), w.val[0], q.val[0]), w.val[1], q.val[1]);
#else
    int16x8_t first = vmull_s8(vget_low_s8(w.val[0]), vget_low_s8(q.val[0]));
    int16x8_t second = vmull_s8(vget_low_s8(w.val[1]), vget_low_s8(q.val[1]));
    first = vmlal_high_s8(first, w.val[0], q.val[0]);
    second = vmlal_high_s8(second, w.val[1], q.val[1]);
    return vpadalq_s16(vpaddlq_s16(first), second);
#endif
}

static inline lanes lanes_of_sums(const sums32 s[LANES], int32_t less)
{
    int32x4_t low = vpaddq_s32(vpaddq_s32(s[0], s[1]), vpaddq_s32(s[2], s[3]));
    int32x4_t high = vpaddq_s32(vpaddq_s32(s[4], s[5]), vpaddq_s32(s[6], s[7]));
    int32x4_t all_less = vdupq_n_s32(less);
    return (lanes){(tlep_four)vcvtq_f32_s32(vsubq_s32(low, all_less)),
                   (tlep_four)vcvtq_f32_s32(vsubq_s32(high, all_less))};
}

/* Of four rows: lane r is lanes_fold(s[r]). */
static inline tlep_four fold_four(const lanes *s)
{
    float32x4_t two[2]; /* of two rows: (s0 + s4) + (s2 + s6), (s1 + s5) + (s3 + s7) */
    for (size_t r = 0; r < 2; r++) {
        float32x4_t a = (float32x4_t)(s[2 * r].low + s[2 * r].high);
        float32x4_t b = (float32x4_t)(s[2 * r + 1].low + s[2 * r + 1].high);
        two[r] = vaddq_f32(vcombine_f32(vget_low_f32(a), vget_low_f32(b)),
                           vcombine_f32(vget_high_f32(a), vget_high_f32(b)));
    }
    return (tlep_four)vpaddq_f32(two[0], two[1]);
}

static inline lanes lanes_fold_each(const lanes s[LANES])
{
    return (lanes){fold_four(s), fold_four(s + 4)};
}

static inline lanes lanes_max(lanes a, lanes b)
{
    return (lanes){(tlep_four)vmaxq_f32((float32x4_t)a.low, (float32x4_t)b.low),
                   (tlep_four)vmaxq_f32((float32x4_t)a.high, (float32x4_t)b.high)};
}

static inline lanes lanes_abs(lanes a)
{
    return (lanes){(tlep_four)vabsq_f32((float32x4_t)a.low),
                   (tlep_four)vabsq_f32((float32x4_t)a.high)};
}

/* Four nearest integers. */
static inline int16x4_t quantize_4(const float *x, float inverse)
{
    return vqmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x), inverse)));
}

static inline int32_t quantize_32(int8_t *q, const float *x, float inverse)
{
    int32_t sum = 0;
    for (int i = 0; i < 32; i += 8) {
        int16x4_t low = quantize_4(x + i, inverse);
        int16x4_t high = quantize_4(x + i + 4, inverse);
        int8x8_t eight = vqmovn_s16(vcombine_s16(low, high));
        vst1_s8(q + i, eight);
        sum += vaddlv_s8(eight);
    }
    return sum;
}

#endif
