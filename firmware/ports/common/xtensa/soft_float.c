/* The float operations that LLVM leaves to a library on Xtensa: correctly rounded, to nearest even,
 * as the FPU's own are. (The FPU has steps of a division and of a root, which LLVM cannot emit.) */
#include "runtime.h"

#define SIGN 0x80000000U
#define INFINITE 0x7F800000U
#define NOT_A_NUMBER 0x7FC00000U
#define HIDDEN 0x00800000U /* the leading bit, which a normal number does not write out */
#define MANTISSA 0x007FFFFFU

static uint32_t bits_of(float f)
{
    uint32_t bits;
    __builtin_memcpy(&bits, &f, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float f;
    __builtin_memcpy(&f, &bits, sizeof f);
    return f;
}

/* The float next to `m` / 2^31 * 2^exponent. Bit 31 of `m` is set; bit 0 is, too, where anything was
 * cut off below it. */
static float rounded(uint32_t sign, int32_t exponent, uint32_t m)
{
    int32_t biased = exponent + 127;
    if (biased >= 255) {
        return float_of(sign | INFINITE);
    }
    if (biased <= 0) { /* subnormal: the leading bit moves down, and what falls off still counts */
        int32_t down = 1 - biased;
        m = down < 32 ? m >> down | (uint32_t)(m << (32 - down) != 0) : 1;
        biased = 1;
    }
    uint32_t kept = m >> 8, rest = m & 0xFF;
    kept += (uint32_t)(rest > 0x80 || (rest == 0x80 && (kept & 1) != 0));
    /* kept has the hidden bit, which counts one into the exponent; a carry out of it is right, too */
    return float_of(sign | (((uint32_t)(biased - 1) << 23) + kept));
}

/* Mantissa with its hidden bit, and the exponent, of a finite number other than 0. */
static uint32_t split(uint32_t bits, int32_t *exponent)
{
    uint32_t m = bits & MANTISSA;
    *exponent = (int32_t)(bits >> 23 & 0xFF) - 127;
    if (*exponent > -127) {
        return m | HIDDEN;
    }
    int32_t up = __builtin_clz(m) - 8;
    *exponent = -126 - up;
    return m << up;
}

float __divsf3(float a, float b)
{
    uint32_t x = bits_of(a), y = bits_of(b), sign = (x ^ y) & SIGN;
    x &= ~SIGN;
    y &= ~SIGN;
    if (x > INFINITE || y > INFINITE || (x == y && (x == 0 || x == INFINITE))) {
        return float_of(NOT_A_NUMBER);
    }
    if (x == 0 || y == INFINITE) {
        return float_of(sign);
    }
    if (y == 0 || x == INFINITE) {
        return float_of(sign | INFINITE);
    }
    int32_t ex, ey;
    uint32_t mx = split(x, &ex), my = split(y, &ey);
    int32_t exponent = ex - ey;
    if (mx < my) {
        mx <<= 1;
        exponent--;
    }
    /* 32 bits of quotient: a one, then eight at a time, which is what fits beside 24 in a word */
    uint32_t q = 1, rest = mx - my;
    for (int i = 0; i < 3; i++) {
        q = q << 8 | (rest << 8) / my;
        rest = (rest << 8) % my;
    }
    q = q << 7 | (rest << 7) / my;
    rest = (rest << 7) % my;
    return rounded(sign, exponent, q | (uint32_t)(rest != 0));
}

float sqrtf(float a)
{
    uint32_t x = bits_of(a);
    if ((x & ~SIGN) == 0 || x == INFINITE) {
        return a;
    }
    if (x > INFINITE) {
        return float_of(NOT_A_NUMBER);
    }
    int32_t exponent;
    uint32_t rest = split(x, &exponent);
    if ((exponent & 1) != 0) {
        rest <<= 1;
        exponent--;
    }
    /* digit by digit: `twice` is 2 * root, and a bit is right if the rest has room for it */
    uint32_t root = 0, twice = 0;
    rest <<= 1;
    for (uint32_t bit = 1U << 24; bit != 0; bit >>= 1) {
        uint32_t with = twice + bit;
        if (with <= rest) {
            twice = with + bit;
            rest -= with;
            root += bit;
        }
        rest <<= 1;
    }
    return rounded(0, exponent / 2, root << 7 | (uint32_t)(rest != 0));
}

float __floatundisf(uint64_t n)
{
    if (n == 0) {
        return 0.0f;
    }
    int up = __builtin_clzll(n);
    n <<= up;
    return rounded(0, 63 - up, (uint32_t)(n >> 32) | (uint32_t)((uint32_t)n != 0));
}

float __truncdfsf2(double a)
{
    uint64_t wide;
    __builtin_memcpy(&wide, &a, sizeof wide);
    uint32_t sign = (uint32_t)(wide >> 32) & SIGN;
    int32_t biased = (int32_t)(wide >> 52 & 0x7FF);
    uint64_t mantissa = wide & 0xFFFFFFFFFFFFFULL;
    if (biased == 0x7FF) {
        return float_of(mantissa != 0 ? NOT_A_NUMBER : sign | INFINITE);
    }
    if (biased == 0) { /* 0, or too small for any float */
        return float_of(sign);
    }
    uint64_t m = mantissa << 11;
    uint32_t high = SIGN | (uint32_t)(m >> 32);
    return rounded(sign, biased - 1023, high | (uint32_t)((uint32_t)m != 0));
}
