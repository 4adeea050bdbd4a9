/* Quantised matrix-vector products in plain C.
 *
 * Weights are widened to int16 first, so that compilers see the int16 × int16 → int32 dot product that SSE2,
 * AVX2 and NEON have instructions for; unrolling and vectorising are theirs. Per block: an exact
 * integer sum, then y += (d_w · d_x) · sum, blocks in ascending order. */
#include "kernels.h"

#ifndef TLEP_KERNELS_DSP

#include "fp16.h"

static inline float scale_at(const uint8_t *p)
{
    uint16_t h;
    __builtin_memcpy(&h, p, sizeof h);
    return tlep_f16_to_f32(h);
}

static inline int32_t dot_i16(const int16_t *a, const int16_t *b, uint32_t n)
{
    int32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += (int32_t)a[i] * b[i];
    }
    return sum;
}

void tlep_matvec_q8_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    for (uint32_t r = 0; r < rows; r++) {
        float acc = 0.0f;
        for (uint32_t b = 0; b < a->n / 32; b++, w += 34) {
            int16_t wide[32];
            for (uint32_t j = 0; j < 32; j++) {
                wide[j] = (int8_t)w[2 + j];
            }
            int32_t sum = dot_i16(wide, a->q + b * 32, 32);
            acc += (scale_at(w) * a->scale[b]) * (float)sum;
        }
        y[r] = acc;
    }
}

void tlep_matvec_q4_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    for (uint32_t r = 0; r < rows; r++) {
        float acc = 0.0f;
        for (uint32_t b = 0; b < a->n / 32; b++, w += 18) {
            int16_t wide[32];
            for (uint32_t j = 0; j < 16; j++) {
                wide[j] = w[2 + j] & 15;
                wide[j + 16] = w[2 + j] >> 4;
            }
            int32_t sum = dot_i16(wide, a->q + b * 32, 32) - 8 * a->sum[b];
            acc += (scale_at(w) * a->scale[b]) * (float)sum;
        }
        y[r] = acc;
    }
}

void tlep_matvec_tq2_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    for (uint32_t r = 0; r < rows; r++) {
        float acc = 0.0f;
        for (uint32_t b = 0; b < a->n / 256; b++, w += 66) {
            int32_t sum = -a->sum[b];
            for (uint32_t h = 0; h < 2; h++) {
                for (uint32_t l = 0; l < 4; l++) {
                    int16_t wide[32];
                    for (uint32_t m = 0; m < 32; m++) {
                        wide[m] = w[32 * h + m] >> (2 * l) & 3;
                    }
                    sum += dot_i16(wide, a->q + b * 256 + 128 * h + 32 * l, 32);
                }
            }
            acc += (scale_at(w + 64) * a->scale[b]) * (float)sum;
        }
        y[r] = acc;
    }
}

#endif
