/* Digests of float products, sums and differences of many pairs of operands: the same on every
 * machine whose float arithmetic is IEEE's. Each line: how many pairs, and the digest so far. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { PAIRS = 2000000, PAIRS_A_LINE = 1 << 16 };

static uint32_t random_state = 1;
static uint32_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    return random_state ^= random_state << 5;
}

static float of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t bits_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (bits & 0x7FFFFFFF) > 0x7F800000 ? 0x7FC00000 : bits; /* one NaN for all */
}

/* Any bits at all, and often what is rare among them: exponents close together, mantissas that end
 * in zeros (ties), nearly equal operands (cancellation), ordinary magnitudes. */
static void next_pair(uint32_t *x, uint32_t *y)
{
    uint32_t how = next_random();
    *x = next_random();
    *y = next_random();
    if (how & 1) {
        uint32_t exponent = (*x >> 23) + (how >> 1) % 60 - 30;
        *y = (*y & 0x807FFFFF) | (exponent & 255) << 23;
    }
    *x &= how & 0x100 ? 0xFFFFFFFFU << (how >> 9) % 24 : 0xFFFFFFFF;
    *y &= how & 0x20000 ? 0xFFFFFFFFU << (how >> 18) % 24 : 0xFFFFFFFF;
    switch (how >> 28) {
    case 1: *y |= 0x7FFFFF; break;
    case 2: *y = *x ^ (how & 0x80000003); break;
    case 3:
        *x = (*x & 0x807FFFFF) | (117 + (how >> 4) % 20) << 23;
        *y = (*y & 0x807FFFFF) | (117 + (how >> 10) % 20) << 23;
        break;
    default: break;
    }
}

int main(void)
{
    uint32_t digest = 2166136261U;
    for (uint32_t i = 1; i <= PAIRS; i++) {
        uint32_t x, y;
        next_pair(&x, &y);
        volatile float a = of_bits(x), b = of_bits(y);
        uint32_t results[3] = {bits_of(a * b), bits_of(a + b), bits_of(a - b)};
        for (int j = 0; j < 3; j++) {
            digest = (digest ^ results[j]) * 16777619U;
        }
        if (i % PAIRS_A_LINE == 0 || i == PAIRS) {
            printf("%u %08x\n", (unsigned)i, (unsigned)digest);
        }
    }
    return 0;
}
