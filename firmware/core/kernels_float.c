/* Float reductions in the canonical order: eight strided partial sums, then a fixed tree.
 *
 * Eight, so that SIMD units of 4 or 8 lanes and pipelined scalar FPUs are all kept busy without -ffast-math.
 * Compilers do not find this by themselves: an array of eight sums stays in memory on a microcontroller, and
 * eight variables are not vectorised on a desktop. So there are two forms of one order. */
#include <stddef.h>

#include "fp16.h"
#include "kernels.h"

enum { LANES = 8 };

static const float *as_floats(const uint8_t *w)
{
    return (const float *)(const void *)w;
}

static const uint16_t *as_halves(const uint8_t *w)
{
    return (const uint16_t *)(const void *)w;
}

#if defined(__SSE2__) || defined(__ARM_NEON)

typedef float four __attribute__((vector_size(16)));
typedef struct {
    four low; /* lanes 0 to 3 */
    four high;
} lanes;

static inline four load(const float *p)
{
    four v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

static inline void mac(lanes *s, const float *a, const float *b)
{
    s->low += load(a) * load(b);
    s->high += load(a + 4) * load(b + 4);
}

static inline float fold(const lanes *s)
{
    four t = s->low + s->high;
    return (t[0] + t[2]) + (t[1] + t[3]);
}

float tlep_dot(const float *a, const float *b, uint32_t n)
{
    lanes s = {{0}, {0}};
    for (; n >= LANES; n -= LANES, a += LANES, b += LANES) {
        mac(&s, a, b);
    }
    if (n) {
        float rest[2][LANES] = {{0}, {0}};
        __builtin_memcpy(rest[0], a, n * sizeof *a);
        __builtin_memcpy(rest[1], b, n * sizeof *b);
        mac(&s, rest[0], rest[1]);
    }
    return fold(&s);
}

float tlep_sum(const float *a, uint32_t n)
{
    lanes s = {{0}, {0}};
    for (; n >= LANES; n -= LANES, a += LANES) {
        s.low += load(a);
        s.high += load(a + 4);
    }
    float rest[LANES] = {0};
    __builtin_memcpy(rest, a, n * sizeof *a);
    s.low += load(rest);
    s.high += load(rest + 4);
    return fold(&s);
}

void tlep_matvec_f32(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    const float *row = as_floats(w);
    for (uint32_t r = 0; r < rows; r++, row += a->n) {
        y[r] = tlep_dot(row, a->x, a->n);
    }
}

void tlep_matvec_f16(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    const uint16_t *row = as_halves(w);
    for (uint32_t r = 0; r < rows; r++, row += a->n) {
        lanes s = {{0}, {0}};
        uint32_t i = 0;
        for (; i + LANES <= a->n; i += LANES) {
            float wide[LANES];
            for (uint32_t j = 0; j < LANES; j++) {
                wide[j] = tlep_f16_to_f32(row[i + j]);
            }
            mac(&s, wide, a->x + i);
        }
        float rest[2][LANES] = {{0}, {0}};
        for (uint32_t j = 0; i + j < a->n; j++) {
            rest[0][j] = tlep_f16_to_f32(row[i + j]);
            rest[1][j] = a->x[i + j];
        }
        mac(&s, rest[0], rest[1]);
        y[r] = fold(&s);
    }
}

#else

#define EACH_LANE(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define FOLD(s) (((s##0 + s##4) + (s##2 + s##6)) + ((s##1 + s##5) + (s##3 + s##7)))
#define DECLARE_S(j) float s##j = 0.0f;
#define DECLARE_T(j) float t##j = 0.0f;

float tlep_dot(const float *a, const float *b, uint32_t n)
{
    EACH_LANE(DECLARE_S)
    for (; n >= LANES; n -= LANES, a += LANES, b += LANES) {
#define MAC(j) s##j += a[j] * b[j];
        EACH_LANE(MAC)
    }
#define LAST_MAC(j) s##j += (j) < n ? a[j] * b[j] : 0.0f;
    if (n) {
        EACH_LANE(LAST_MAC)
    }
    return FOLD(s);
}

float tlep_sum(const float *a, uint32_t n)
{
    EACH_LANE(DECLARE_S)
    for (; n >= LANES; n -= LANES, a += LANES) {
#define ADD(j) s##j += a[j];
        EACH_LANE(ADD)
    }
#define LAST_ADD(j) s##j += (j) < n ? a[j] : 0.0f;
    if (n) {
        EACH_LANE(LAST_ADD)
    }
    return FOLD(s);
}

/* y[0], y[1] = rows a and c times b: the pair shares each load of b. */
static void dot_pair(float *y, const float *a, const float *c, const float *b, uint32_t n)
{
    EACH_LANE(DECLARE_S)
    EACH_LANE(DECLARE_T)
    for (; n >= LANES; n -= LANES, a += LANES, b += LANES, c += LANES) {
#define MAC_PAIR(j) s##j += a[j] * b[j], t##j += c[j] * b[j];
        EACH_LANE(MAC_PAIR)
    }
#define LAST_MAC_PAIR(j) s##j += (j) < n ? a[j] * b[j] : 0.0f, t##j += (j) < n ? c[j] * b[j] : 0.0f;
    if (n) {
        EACH_LANE(LAST_MAC_PAIR)
    }
    y[0] = FOLD(s);
    y[1] = FOLD(t);
}

void tlep_matvec_f32(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    const float *row = as_floats(w);
    uint32_t r = 0;
    for (; r + 2 <= rows; r += 2, row += 2 * (size_t)a->n) {
        dot_pair(y + r, row, row + a->n, a->x, a->n);
    }
    if (r < rows) {
        y[r] = tlep_dot(row, a->x, a->n);
    }
}

static float dot_f16(const uint16_t *a, const float *b, uint32_t n)
{
    EACH_LANE(DECLARE_S)
    for (; n >= LANES; n -= LANES, a += LANES, b += LANES) {
#define MAC_F16(j) s##j += tlep_f16_to_f32(a[j]) * b[j];
        EACH_LANE(MAC_F16)
    }
#define LAST_MAC_F16(j) s##j += (j) < n ? tlep_f16_to_f32(a[j]) * b[j] : 0.0f;
    if (n) {
        EACH_LANE(LAST_MAC_F16)
    }
    return FOLD(s);
}

void tlep_matvec_f16(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    const uint16_t *row = as_halves(w);
    for (uint32_t r = 0; r < rows; r++, row += a->n) {
        y[r] = dot_f16(row, a->x, a->n);
    }
}

#endif
