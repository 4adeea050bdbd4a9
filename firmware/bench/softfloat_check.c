/* Holds core/kernels/softfloat.c to libgcc's bits: pairs of special values, and random pairs whose
 * exponents are near each other or anything. Prints "pairs N wrong N"; runs as bench_compute does. */
#include <stdint.h>
#include <stdio.h>

#include "../core/kernels/fmath.h"

float __real___mulsf3(float x, float y);
float __real___addsf3(float x, float y);
float __real___subsf3(float x, float y);
float __real___floatsisf(int32_t i);
float __wrap___mulsf3(float x, float y);
float __wrap___addsf3(float x, float y);
float __wrap___subsf3(float x, float y);
float __wrap___floatsisf(int32_t i);

enum { RANDOM_PAIRS = 400000 };

static uint32_t pairs, wrong;

static int differ(float ours, float theirs)
{
    int nan = ours != ours && theirs != theirs;
    return !nan && tlep_float_bits(ours) != tlep_float_bits(theirs);
}

static void check(uint32_t a, uint32_t b)
{
    float x = tlep_bits_float(a), y = tlep_bits_float(b);
    int bad = differ(__wrap___mulsf3(x, y), __real___mulsf3(x, y)) ||
              differ(__wrap___addsf3(x, y), __real___addsf3(x, y)) ||
              differ(__wrap___subsf3(x, y), __real___subsf3(x, y)) ||
              differ(__wrap___floatsisf((int32_t)a), __real___floatsisf((int32_t)a)) ||
              differ(__wrap___floatsisf((int32_t)a >> 12), __real___floatsisf((int32_t)a >> 12));
    pairs++;
    wrong += bad != 0;
    if (bad && wrong < 10) {
        printf("differs %08x %08x\n", (unsigned)a, (unsigned)b);
    }
}

static uint32_t random_word(void)
{
    static uint32_t s = 0x9E3779B9U;
    s ^= s << 13;
    s ^= s >> 17;
    s ^= s << 5;
    return s;
}

int main(void)
{
    static const uint32_t special[] = {
        0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007FFFFF, 0x00800000, 0x80800000,
        0x00FFFFFF, 0x01000000, 0x33800000, 0x33FFFFFF, 0x3F7FFFFF, 0x3F800000, 0xBF800000,
        0x3F800001, 0x40000000, 0x4B000000, 0x4B7FFFFF, 0x4B800000, 0x7F000000, 0x7F7FFFFF,
        0xFF7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0x3F000000, 0x1F800000, 0x20000000,
    };
    uint32_t n = sizeof special / sizeof special[0];
    for (uint32_t i = 0; i < n * n; i++) {
        check(special[i / n], special[i % n]);
    }
    for (uint32_t i = 0; i < RANDOM_PAIRS; i++) {
        uint32_t a = random_word(), b = random_word();
        if (i % 2) { /* exponents within 32 of each other; few bits set, for ties */
            b = (b & 0x807FFFFFU) | ((a >> 23 & 0xFF) + (random_word() & 63) - 32) << 23;
            b &= i % 4 == 1 ? 0xFFFFFFFFU : 0xFFF00000U;
            b ^= random_word() & 0x80000000U;
        }
        check(a, b);
        check(a, special[i % n]);
    }
    printf("pairs %u wrong %u\n", (unsigned)pairs, (unsigned)wrong);
    return 0;
}
