/* Two rows in one word, for cores without SIMD.
 *
 * The fields of Q4_0 and TQ2_0 are small and not negative, so the same field of both rows goes into
 * the halves of one word,
 *
 *     (f0 + f1 · 2^16) · q = f0 · q + (f1 · q) · 2^16,
 *
 * and one multiplication and one addition serve both rows. Modulo 2^32 it does not matter what the
 * low sum carries over on its way, as long as it is within 16 bits in the end. That holds for a
 * block of Q4_0 (32 products of -8 .. 7 and 127) with the offset -8 taken off, and for 86 products
 * of TQ2_0's two bits. The offsets come from the sum of the input, as everywhere. */
#ifndef TLEP_PACKED_ROWS_H
#define TLEP_PACKED_ROWS_H

#include "kernels/kernels_rows.h"

/* The next two bytes of two rows: fields of the first byte at bits 0 and 16, of the second at 8
 * and 24. */
static inline uint32_t two_rows(const uint8_t *w0, const uint8_t *w1)
{
    uint16_t low;
    uint16_t high;
    __builtin_memcpy(&low, __builtin_assume_aligned(w0, 2), sizeof low);
    __builtin_memcpy(&high, __builtin_assume_aligned(w1, 2), sizeof high);
    return low | (uint32_t)high << 16;
}

/* Unsigned, so that it wraps instead of being undefined. */
static inline uint32_t packed_mac(uint32_t sums, uint32_t fields, int16_t q)
{
    return sums + fields * (uint32_t)(int32_t)q;
}

/* Two bytes of Q4_0 of each row: elements 0, 16, 1 and 17 of q. */
static inline uint32_t four_nibbles(uint32_t sums, uint32_t v, const int16_t *q)
{
    const uint32_t mask = 0x000F000Fu;
    sums = packed_mac(sums, v & mask, q[0]);
    sums = packed_mac(sums, v >> 4 & mask, q[16]);
    sums = packed_mac(sums, v >> 8 & mask, q[1]);
    return packed_mac(sums, v >> 12 & mask, q[17]);
}

/* Where the sums of a block of Q4_0 start. */
static inline uint32_t both_less_eight(int32_t sum_of_q)
{
    return (uint32_t)sum_of_q * (0u - 0x00080008u);
}

static inline int32_t low_sum(uint32_t sums)
{
    return (int16_t)sums;
}

static inline int32_t high_sum(uint32_t sums)
{
    return (int32_t)(sums - (uint32_t)low_sum(sums)) >> 16;
}

#endif
