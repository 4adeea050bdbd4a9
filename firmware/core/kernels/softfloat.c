/* Float arithmetic for RV32 without an FPU, in half of libgcc's instructions.
 *
 * Only the common case is here: normal numbers with a normal result, and an exact zero as a term.
 * Whatever else there is (denormals, infinities, NaN) goes on to libgcc's function, which the
 * linker calls __real_ (--wrap). Rounding is IEEE's, to nearest even, so the bits are libgcc's. */
#if defined(__riscv) && !defined(__riscv_flen)

#include <stdbool.h>

#include "kernels/fmath.h"

float __real___mulsf3(float x, float y);
float __real___addsf3(float x, float y);
float __real___floatsisf(int32_t i);
float __wrap___mulsf3(float x, float y);
float __wrap___addsf3(float x, float y);
float __wrap___subsf3(float x, float y);
float __wrap___floatsisf(int32_t i);

#define SIGN 0x80000000u
#define MANTISSA 0x007FFFFFu
#define RARE(condition) __builtin_expect((condition), 0)

static inline uint32_t exponent_of(uint32_t bits)
{
    return bits >> 23 & 0xFF;
}

float __wrap___mulsf3(float x, float y)
{
    uint32_t a = tlep_float_bits(x), b = tlep_float_bits(y);
    uint32_t ea = exponent_of(a), eb = exponent_of(b);
    if (RARE(ea - 1 >= 254 || eb - 1 >= 254)) {
        return __real___mulsf3(x, y);
    }
    uint64_t product = (uint64_t)(a << 8 | SIGN) * (b << 8 | SIGN);
    uint32_t high = (uint32_t)(product >> 32), low = (uint32_t)product;
    uint32_t e = ea + eb - 127;
    if (high & SIGN) {
        e++;
    } else {
        high = high << 1 | low >> 31;
        low <<= 1;
    }
    if (RARE(e - 1 >= 254)) {
        return __real___mulsf3(x, y);
    }
    uint32_t rest = (high & 0xFF) << 1 | (low != 0), odd = high >> 8 & 1;
    uint32_t bits = (e << 23) + (high >> 8 & MANTISSA) + (rest + odd > 0x100);
    return tlep_bits_float(bits | ((a ^ b) & SIGN));
}

static inline float add(uint32_t a, uint32_t b)
{
    if ((a & ~SIGN) < (b & ~SIGN)) {
        uint32_t smaller = a;
        a = b;
        b = smaller;
    }
    uint32_t e = exponent_of(a), eb = exponent_of(b);
    if (RARE(e == 255 || eb == 0)) {
        bool plus_zero = (b & ~SIGN) == 0 && e != 0 && e != 255;
        return plus_zero ? tlep_bits_float(a)
                         : __real___addsf3(tlep_bits_float(a), tlep_bits_float(b));
    }
    /* 24 bits of mantissa and seven below them, the last of which stands for all that is lost */
    uint32_t sum = (a << 8 | SIGN) >> 1, term = (b << 8 | SIGN) >> 1, shift = e - eb;
    if (shift < 32) {
        bool lost = (term & ((1u << shift) - 1)) != 0;
        term = term >> shift | lost;
    } else {
        term = 1;
    }
    if (((a ^ b) & SIGN) == 0) {
        sum += term;
        if (sum & SIGN) {
            sum = sum >> 1 | (sum & 1);
            e++;
        }
    } else {
        sum -= term;
        if (sum == 0) {
            return 0.0f;
        }
        for (; (sum & SIGN >> 1) == 0; sum <<= 1) {
            e--;
        }
    }
    if (RARE((int32_t)e <= 0 || e >= 255)) {
        return __real___addsf3(tlep_bits_float(a), tlep_bits_float(b));
    }
    uint32_t mantissa = sum >> 7 & MANTISSA;
    uint32_t bits = (e << 23) + mantissa + ((sum & 0x7F) + (mantissa & 1) > 0x40);
    return tlep_bits_float(bits | (a & SIGN));
}

float __wrap___addsf3(float x, float y)
{
    return add(tlep_float_bits(x), tlep_float_bits(y));
}

float __wrap___subsf3(float x, float y)
{
    return add(tlep_float_bits(x), tlep_float_bits(y) ^ SIGN);
}

/* Sums of products stay below 2^24, and convert exactly. */
float __wrap___floatsisf(int32_t i)
{
    uint32_t mantissa = i < 0 ? 0 - (uint32_t)i : (uint32_t)i, e = 127 + 23;
    if (RARE(mantissa >> 24 != 0)) {
        return __real___floatsisf(i);
    }
    if (mantissa == 0) {
        return 0.0f;
    }
    for (uint32_t step = 16; step != 0; step /= 2) { /* until its highest bit is bit 23 */
        if (mantissa >> (24 - step) == 0) {
            mantissa <<= step;
            e -= step;
        }
    }
    return tlep_bits_float((e << 23) + (mantissa & MANTISSA) + ((uint32_t)i & SIGN));
}

#else
typedef int tlep_softfloat_unused; /* ISO C forbids an empty translation unit */
#endif
