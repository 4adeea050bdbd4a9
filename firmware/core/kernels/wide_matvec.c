/* Matrix-vector products of eight rows at a time (kernels/wide.h). */
#include "kernels/wide.h"

#include <stddef.h>

#include "kernels/fp16.h"
#include "model/gguf.h"

#if defined(TLEP_WIDE_AVX2) || defined(TLEP_WIDE_NEON)

#ifdef TLEP_WIDE_AVX2
#include <cpuid.h>

bool tlep_wide;

/* Old compilers do not know "f16c" by name. */
static __attribute__((constructor)) void look_at_processor(void)
{
    unsigned a, b, c, d;
    __builtin_cpu_init();
    tlep_wide = __builtin_cpu_supports("avx2") && __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
}
#endif

#include "kernels/wide_begin.h"

/* ---- The input ------------------------------------------------------------------------------- */

enum { SMALL_BLOCK = 32, TERNARY_BLOCK = 256 };

/* As quantize_act of kernels.c, but to bytes: they take the first half of the room for `q`. */
static void quantize(tlep_act *a, uint32_t block)
{
    int8_t *q = (int8_t *)a->q;
    const float *x = a->x;
    for (uint32_t b = 0; b < a->n / block; b++) {
        lanes most = lanes_splat(0.0f);
        for (uint32_t i = 0; i < block; i += LANES) {
            most = lanes_max(most, lanes_abs(lanes_load(x + i)));
        }
        float each[LANES];
        lanes_store(each, most);
        float amax = each[0];
        for (uint32_t i = 1; i < LANES; i++) {
            amax = each[i] > amax ? each[i] : amax;
        }
        bool none = amax < 0x1p-100f;
        float inverse = none ? 0.0f : 127.0f / amax;
        int32_t sum = 0;
        for (uint32_t i = 0; i < block; i += 32, x += 32, q += 32) {
            sum += quantize_32(q, x, inverse);
        }
        a->scale[b] = none ? 0.0f : amax / 127.0f;
        a->sum[b] = sum;
    }
    a->block = block;
}

/* ---- Eight rows, `stride` bytes apart -------------------------------------------------------- */

static inline lanes eight_f32(const uint8_t *w, size_t stride, const tlep_act *a)
{
    lanes s[LANES];
    for (uint32_t r = 0; r < LANES; r++) {
        s[r] = lanes_splat(0.0f);
    }
    const float *x = a->x;
    uint32_t n = a->n;
    for (; n >= LANES; n -= LANES, w += sizeof(float) * LANES, x += LANES) {
        lanes v = lanes_load(x);
        for (uint32_t r = 0; r < LANES; r++) {
            s[r] = lanes_mac(s[r], lanes_load((const float *)(const void *)(w + r * stride)), v);
        }
    }
    if (n) {
        lanes v = lanes_load_some(x, n);
        for (uint32_t r = 0; r < LANES; r++) {
            const float *row = (const float *)(const void *)(w + r * stride);
            s[r] = lanes_mac(s[r], lanes_load_some(row, n), v);
        }
    }
    return lanes_fold_each(s);
}

static inline lanes eight_f16(const uint8_t *w, size_t stride, const tlep_act *a)
{
    lanes s[LANES];
    for (uint32_t r = 0; r < LANES; r++) {
        s[r] = lanes_splat(0.0f);
    }
    const float *x = a->x;
    uint32_t n = a->n;
    for (; n >= LANES; n -= LANES, w += sizeof(uint16_t) * LANES, x += LANES) {
        lanes v = lanes_load(x);
        for (uint32_t r = 0; r < LANES; r++) {
            const uint16_t *row = (const uint16_t *)(const void *)(w + r * stride);
            s[r] = lanes_mac(s[r], lanes_load_f16(row), v);
        }
    }
    if (n) {
        lanes v = lanes_load_some(x, n);
        for (uint32_t r = 0; r < LANES; r++) {
            const uint16_t *row = (const uint16_t *)(const void *)(w + r * stride);
            s[r] = lanes_mac(s[r], lanes_load_some_f16(row, n), v);
        }
    }
    return lanes_fold_each(s);
}

/* Eight halves, `stride` bytes apart. */
static inline lanes load_far_f16(const uint8_t *p, size_t stride)
{
    uint16_t h[LANES];
    for (size_t r = 0; r < LANES; r++) {
        __builtin_memcpy(&h[r], p + r * stride, sizeof h[r]);
    }
    return lanes_load_f16(h);
}

/* y + (d · scale) · sum, for eight rows: `d` is where the first one's F16 scale is. */
static inline lanes add_blocks(lanes y, const uint8_t *d, size_t stride, float scale, lanes sums)
{
    lanes scales = lanes_mul(load_far_f16(d, stride), lanes_splat(scale));
    return lanes_add(y, lanes_mul(scales, sums));
}

static inline lanes eight_q8_0(const uint8_t *w, size_t stride, const tlep_act *a)
{
    const int8_t *q = (const int8_t *)a->q;
    lanes y = lanes_splat(0.0f);
    for (uint32_t b = 0; b < a->n / SMALL_BLOCK; b++, w += 34, q += SMALL_BLOCK) {
        bytes x = bytes_load(q);
        sums32 s[LANES];
        for (uint32_t r = 0; r < LANES; r++) {
            s[r] = sums32_dot(bytes_load(w + r * stride + 2), x);
        }
        y = add_blocks(y, w, stride, a->scale[b], lanes_of_sums(s, 0));
    }
    return y;
}

static inline lanes eight_q4_0(const uint8_t *w, size_t stride, const tlep_act *a)
{
    const int8_t *q = (const int8_t *)a->q;
    lanes y = lanes_splat(0.0f);
    for (uint32_t b = 0; b < a->n / SMALL_BLOCK; b++, w += 18, q += SMALL_BLOCK) {
        bytes x = bytes_load(q);
        sums32 s[LANES];
        for (uint32_t r = 0; r < LANES; r++) {
            sums16 products = sums16_mac(sums16_zero(), bytes_of_nibbles(w + r * stride + 2), x);
            s[r] = sums32_widen(products);
        }
        y = add_blocks(y, w, stride, a->scale[b], lanes_of_sums(s, 8 * a->sum[b]));
    }
    return y;
}

/* Byte m of a half holds elements m, m + 32, m + 64 and m + 96 of its 128. */
static inline lanes eight_tq2_0(const uint8_t *w, size_t stride, const tlep_act *a)
{
    const int8_t *q = (const int8_t *)a->q;
    lanes y = lanes_splat(0.0f);
    for (uint32_t b = 0; b < a->n / TERNARY_BLOCK; b++, w += 66, q += TERNARY_BLOCK) {
        sums32 s[LANES];
        for (uint32_t r = 0; r < LANES; r++) {
            sums16 products = sums16_zero();
            for (size_t half = 0; half < 2; half++) {
                bytes v = bytes_load(w + r * stride + 32 * half);
                const int8_t *x = q + 128 * half;
                products = sums16_mac(products, bytes_of_pairs(v, 0), bytes_load(x));
                products = sums16_mac(products, bytes_of_pairs(v, 2), bytes_load(x + 32));
                products = sums16_mac(products, bytes_of_pairs(v, 4), bytes_load(x + 64));
                products = sums16_mac(products, bytes_of_pairs(v, 6), bytes_load(x + 96));
            }
            s[r] = sums32_widen(products);
        }
        y = add_blocks(y, w + 64, stride, a->scale[b], lanes_of_sums(s, a->sum[b]));
    }
    return y;
}

/* ---- All rows -------------------------------------------------------------------------------- */

typedef lanes eight_rows(const uint8_t *w, size_t stride, const tlep_act *a);

/* The last eight overlap those before them: a row computed twice has the same bits. */
static inline __attribute__((always_inline)) void
all_rows(float *y, const uint8_t *w, uint32_t rows, size_t row_bytes, const tlep_act *a,
         eight_rows *eight)
{
    for (uint32_t r = 0; rows < LANES && r < rows; r++) { /* too few: each row eight times */
        float same[LANES];
        lanes_store(same, eight(w + r * row_bytes, 0, a));
        y[r] = same[0];
    }
    for (uint32_t end = LANES; rows >= LANES && end < rows + LANES; end += LANES) {
        uint32_t r = (end < rows ? end : rows) - LANES;
        lanes_store(y + r, eight(w + r * row_bytes, row_bytes, a));
    }
}

void tlep_wide_matvec(float *y, const uint8_t *w, uint32_t type, uint32_t rows, tlep_act *a)
{
    uint32_t block = tlep_type_block(type);
    if (block > 1 && a->block != block) {
        quantize(a, block);
    }
    size_t row_bytes = tlep_row_bytes(type, a->n);
    switch (type) {
    case TLEP_TYPE_F32: all_rows(y, w, rows, row_bytes, a, eight_f32); break;
    case TLEP_TYPE_F16: all_rows(y, w, rows, row_bytes, a, eight_f16); break;
    case TLEP_TYPE_Q4_0: all_rows(y, w, rows, row_bytes, a, eight_q4_0); break;
    case TLEP_TYPE_Q8_0: all_rows(y, w, rows, row_bytes, a, eight_q8_0); break;
    case TLEP_TYPE_TQ2_0: all_rows(y, w, rows, row_bytes, a, eight_tq2_0); break;
    default: break;
    }
}

#include "kernels/wide_end.h"

#endif
