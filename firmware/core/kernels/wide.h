/* Kernels of eight rows at a time, for hosts: AVX2, chosen at run time, or NEON.
 *
 * The order of a float sum is fixed, so a row's next addition waits for its last one. Eight rows
 * have eight sums under way, which hides that wait, and their results are one register of eight.
 * No multiply-add is fused, so the bits are those of every other port.
 *
 * wide_matvec.c and wide_attention.c are the text; wide_avx2.h and wide_neon.h are the
 * instructions. The dispatching functions (tlep_matvec, tlep_attention_...) ask TLEP_WIDE first. */
#ifndef TLEP_WIDE_H
#define TLEP_WIDE_H

#include <stdbool.h>

#include "kernels/kernels.h"

/* TLEP_KERNELS_NARROW leaves them out, for comparing on one host. */
#if defined(TLEP_KERNELS_NARROW)
#define TLEP_WIDE 0
#elif defined(__x86_64__)
#define TLEP_WIDE_AVX2 1
#define TLEP_WIDE tlep_wide
extern bool tlep_wide; /* set before main(): this processor has AVX2 and F16C */
#elif defined(__aarch64__) && defined(__ARM_NEON)
#define TLEP_WIDE_NEON 1
#define TLEP_WIDE 1
#else
#define TLEP_WIDE 0
#endif

/* As the functions of kernels.h and attention.h without `wide`. */
void tlep_wide_matvec(float *y, const uint8_t *w, uint32_t type, uint32_t rows, tlep_act *a);
void tlep_wide_attention_scores(float *scores, const float *q, const uint8_t *keys, bool half,
                                uint32_t n_rows, uint32_t n, float scale);
float tlep_wide_attention_exp(float *scores, uint32_t n_rows);
void tlep_wide_attention_mix(float *out, const float *weights, const uint8_t *values, bool half,
                             uint32_t n_rows, uint32_t n, float norm);

#endif
