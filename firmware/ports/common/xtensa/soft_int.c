/* 64-bit integer operations that LLVM leaves to a library on Xtensa. */
#include "runtime.h"

/* From 16-bit halves, for cores without the upper half of a 32-bit product. */
static uint64_t wide_product(uint32_t a, uint32_t b)
{
    uint32_t low = (a & 0xFFFF) * (b & 0xFFFF), high = (a >> 16) * (b >> 16);
    uint32_t cross = (a >> 16) * (b & 0xFFFF), other = (a & 0xFFFF) * (b >> 16);
    uint32_t middle = (low >> 16) + (cross & 0xFFFF) + (other & 0xFFFF);
    high += (cross >> 16) + (other >> 16) + (middle >> 16);
    return (uint64_t)high << 32 | (middle << 16 | (low & 0xFFFF));
}

uint64_t __muldi3(uint64_t a, uint64_t b)
{
    uint32_t al = (uint32_t)a, ah = (uint32_t)(a >> 32);
    uint32_t bl = (uint32_t)b, bh = (uint32_t)(b >> 32);
    return wide_product(al, bl) + ((uint64_t)(al * bh + ah * bl) << 32);
}

/* Quotient, and the remainder left in `*n`. */
static uint64_t divide(uint64_t *n, uint64_t d)
{
    if (*n < d) {
        return 0;
    }
    if (*n >> 32 == 0) {
        uint32_t whole = (uint32_t)*n, by = (uint32_t)d;
        *n = whole % by;
        return whole / by;
    }
    /* bit by bit, from where the divisor's first bit lies under the dividend's */
    uint64_t q = 0;
    int up = __builtin_clzll(d) - __builtin_clzll(*n);
    d <<= up;
    for (; up >= 0; up--, d >>= 1) {
        q <<= 1;
        if (*n >= d) {
            *n -= d;
            q |= 1;
        }
    }
    return q;
}

uint64_t __udivdi3(uint64_t n, uint64_t d)
{
    return divide(&n, d);
}

uint64_t __umoddi3(uint64_t n, uint64_t d)
{
    (void)divide(&n, d);
    return n;
}
