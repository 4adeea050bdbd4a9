/* The instructions of the wide kernels on x86-64. What wide_neon.h has, too, has its comment
 * here. */
#ifndef TLEP_WIDE_AVX2_H
#define TLEP_WIDE_AVX2_H

#include <stddef.h>

/* The bytes of 32 weights, or of 32 inputs. */
typedef __m256i bytes;
/* Sums of products in 16 bits, and in 32: a row's sum is that of all elements. */
typedef __m256i sums16;
typedef __m256i sums32;

static inline bytes bytes_load(const void *p)
{
    return _mm256_loadu_si256(p);
}

/* 16 bytes: their low nibbles, then their high ones. */
static inline bytes bytes_of_nibbles(const void *p)
{
    __m256i twice = _mm256_broadcastsi128_si256(_mm_loadu_si128(p));
    __m256i shifts = _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4);
    return _mm256_and_si256(_mm256_srlv_epi32(twice, shifts), _mm256_set1_epi8(15));
}

/* Two bits of each byte, from bit `at`. */
static inline bytes bytes_of_pairs(bytes v, int at)
{
    return _mm256_and_si256(_mm256_srli_epi16(v, at), _mm256_set1_epi8(3));
}

static inline sums16 sums16_zero(void)
{
    return _mm256_setzero_si256();
}

/* s + w · q. From zero it cannot overflow once, where w is 0 to 15, or 8 times, where it is 0 to 3. */
static inline sums16 sums16_mac(sums16 s, bytes w, bytes q)
{
    return _mm256_add_epi16(s, _mm256_maddubs_epi16(w, q));
}

static inline sums32 sums32_widen(sums16 s)
{
    return _mm256_madd_epi16(s, _mm256_set1_epi16(1));
}

/* w · q, where w is -128 to 127 and q -127 to 127: |w| is unsigned, q takes its sign, and two
 * products are at most 32512. */
static inline sums32 sums32_dot(bytes w, bytes q)
{
    return sums32_widen(_mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(q, w)));
}

/* Lane r: the sum of all elements of s[r], less `less`, as a float. */
static inline lanes lanes_of_sums(const sums32 s[LANES], int32_t less)
{
    __m256i s01 = _mm256_hadd_epi32(s[0], s[1]);
    __m256i s23 = _mm256_hadd_epi32(s[2], s[3]);
    __m256i s45 = _mm256_hadd_epi32(s[4], s[5]);
    __m256i s67 = _mm256_hadd_epi32(s[6], s[7]);
    __m256i low = _mm256_hadd_epi32(s01, s23); /* rows 0 to 3, twice: of each 128 bits */
    __m256i high = _mm256_hadd_epi32(s45, s67);
    __m256i first = _mm256_permute2x128_si256(low, high, 0x20);
    __m256i second = _mm256_permute2x128_si256(low, high, 0x31);
    __m256i sums = _mm256_add_epi32(first, second);
    return (lanes)_mm256_cvtepi32_ps(_mm256_sub_epi32(sums, _mm256_set1_epi32(less)));
}

/* Lane r: lanes_fold(s[r]). */
static inline lanes lanes_fold_each(const lanes s[LANES])
{
    __m256 four[4]; /* row r, and row r + 4 in the high half: s0 + s4, s1 + s5, ... */
    for (size_t r = 0; r < 4; r++) {
        __m256 low = _mm256_permute2f128_ps((__m256)s[r], (__m256)s[r + 4], 0x20);
        __m256 high = _mm256_permute2f128_ps((__m256)s[r], (__m256)s[r + 4], 0x31);
        four[r] = low + high;
    }
    __m256 two[2]; /* of two rows: (s0 + s4) + (s2 + s6), (s1 + s5) + (s3 + s7) */
    for (size_t r = 0; r < 2; r++) {
        __m256d a = _mm256_castps_pd(four[2 * r]);
        __m256d b = _mm256_castps_pd(four[2 * r + 1]);
        two[r] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, b)) +
                 _mm256_castpd_ps(_mm256_unpackhi_pd(a, b));
    }
    return (lanes)(_mm256_shuffle_ps(two[0], two[1], 0x88) +
                   _mm256_shuffle_ps(two[0], two[1], 0xDD));
}

static inline lanes lanes_max(lanes a, lanes b)
{
    return (lanes)_mm256_max_ps((__m256)a, (__m256)b);
}

/* Without their signs, whose bit is the highest. */
static inline lanes lanes_abs(lanes a)
{
    return (lanes)_mm256_andnot_ps(_mm256_set1_ps(-0.0f), (__m256)a);
}

/* The nearest integers, ties to even, of 32 values of at most 127. Returns their sum. */
static inline int32_t quantize_32(int8_t *q, const float *x, float inverse)
{
    __m256 v = _mm256_set1_ps(inverse);
    __m256i i0 = _mm256_cvtps_epi32(_mm256_loadu_ps(x) * v);
    __m256i i1 = _mm256_cvtps_epi32(_mm256_loadu_ps(x + 8) * v);
    __m256i i2 = _mm256_cvtps_epi32(_mm256_loadu_ps(x + 16) * v);
    __m256i i3 = _mm256_cvtps_epi32(_mm256_loadu_ps(x + 24) * v);
    /* Packing works in each 128 bits, so groups of four come as 0 2 4 6 1 3 5 7. */
    __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(i0, i1), _mm256_packs_epi32(i2, i3));
    __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i all = _mm256_permutevar8x32_epi32(packed, order);
    _mm256_storeu_si256((void *)q, all);
    /* The sum of bytes, which is small even where a broken model's values are not. */
    __m256i eight = sums32_widen(_mm256_maddubs_epi16(_mm256_set1_epi8(1), all));
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
    return _mm_cvtsi128_si32(two) + _mm_extract_epi32(two, 1);
}

#endif
