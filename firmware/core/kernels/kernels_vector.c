/* Quantised matrix-vector products for compilers that vectorise: loops of constant length over
 * integers, with no dependence but the sums. Two rows at a time, which halves the loads of the
 * input. */
#include "kernels/kernels.h"

#ifdef TLEP_KERNELS_VECTOR

#include "kernels/kernels_rows.h"

void tlep_matvec_q8_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    uint32_t blocks = a->n / 32;
    size_t row_bytes = (size_t)blocks * 34;
    for (uint32_t r = 0; r < rows; r += 2, w += 2 * row_bytes) {
        const uint8_t *w0 = w;
        const uint8_t *w1 = partner_row(w, row_bytes, r, rows);
        const int16_t *q = a->q;
        float acc0 = 0.0f;
        float acc1 = 0.0f;
        for (uint32_t b = 0; b < blocks; b++, w0 += 34, w1 += 34, q += 32) {
            int32_t s0 = 0;
            int32_t s1 = 0;
            for (uint32_t j = 0; j < 32; j++) {
                s0 += (int8_t)w0[2 + j] * q[j];
                s1 += (int8_t)w1[2 + j] * q[j];
            }
            acc0 += scaled(w0, a->scale[b], s0);
            acc1 += scaled(w1, a->scale[b], s1);
        }
        store_rows(y, r, rows, acc0, acc1);
    }
}

void tlep_matvec_q4_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    uint32_t blocks = a->n / 32;
    size_t row_bytes = (size_t)blocks * 18;
    for (uint32_t r = 0; r < rows; r += 2, w += 2 * row_bytes) {
        const uint8_t *w0 = w;
        const uint8_t *w1 = partner_row(w, row_bytes, r, rows);
        const int16_t *q = a->q;
        float acc0 = 0.0f;
        float acc1 = 0.0f;
        for (uint32_t b = 0; b < blocks; b++, w0 += 18, w1 += 18, q += 32) {
            int32_t s0 = -8 * a->sum[b];
            int32_t s1 = s0;
            for (uint32_t j = 0; j < 16; j++) {
                s0 += (w0[2 + j] & 15) * q[j] + (w0[2 + j] >> 4) * q[j + 16];
                s1 += (w1[2 + j] & 15) * q[j] + (w1[2 + j] >> 4) * q[j + 16];
            }
            acc0 += scaled(w0, a->scale[b], s0);
            acc1 += scaled(w1, a->scale[b], s1);
        }
        store_rows(y, r, rows, acc0, acc1);
    }
}

/* Byte m of a half holds elements m, m + 32, m + 64 and m + 96 of its 128. */
static inline int32_t dot_trits(uint32_t v, const int16_t *q)
{
    return (int32_t)(v & 3) * q[0] + (int32_t)(v >> 2 & 3) * q[32] + (int32_t)(v >> 4 & 3) * q[64] +
           (int32_t)(v >> 6) * q[96];
}

void tlep_matvec_tq2_0(float *y, const uint8_t *w, uint32_t rows, const tlep_act *a)
{
    uint32_t blocks = a->n / 256;
    size_t row_bytes = (size_t)blocks * 66;
    for (uint32_t r = 0; r < rows; r += 2, w += 2 * row_bytes) {
        const uint8_t *w0 = w;
        const uint8_t *w1 = partner_row(w, row_bytes, r, rows);
        const int16_t *q = a->q;
        float acc0 = 0.0f;
        float acc1 = 0.0f;
        for (uint32_t b = 0; b < blocks; b++, w0 += 66, w1 += 66) {
            int32_t s0 = -a->sum[b];
            int32_t s1 = s0;
            for (uint32_t half = 0; half < 64; half += 32, q += 128) {
                for (uint32_t m = 0; m < 32; m++) {
                    s0 += dot_trits(w0[half + m], q + m);
                    s1 += dot_trits(w1[half + m], q + m);
                }
            }
            acc0 += scaled(w0 + 64, a->scale[b], s0);
            acc1 += scaled(w1 + 64, a->scale[b], s1);
        }
        store_rows(y, r, rows, acc0, acc1);
    }
}

#endif
