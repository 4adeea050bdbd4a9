/* Shared by the kernels that take two rows at a time: two, because then each load of the input
 * serves twice; the last row of an odd number is its own partner, computed twice and stored
 * once. */
#ifndef TLEP_KERNELS_ROWS_H
#define TLEP_KERNELS_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/fp16.h"

/* The row below row r, or row r itself when it is the last. */
static inline const uint8_t *partner_row(const uint8_t *row, size_t row_bytes, uint32_t r,
                                         uint32_t rows)
{
    return r + 1 < rows ? row + row_bytes : row;
}

static inline void store_rows(float *y, uint32_t r, uint32_t rows, float y0, float y1)
{
    y[r] = y0;
    if (r + 1 < rows) {
        y[r + 1] = y1;
    }
}

/* The contribution of one block whose F16 scale is at `d`: (d · x_scale) · sum. */
static inline float scaled(const uint8_t *d, float x_scale, int32_t sum)
{
    uint16_t h;
    __builtin_memcpy(&h, __builtin_assume_aligned(d, 2), sizeof h); /* all block sizes are even */
    return (tlep_f16_finite(h) * x_scale) * (float)sum;
}

#endif
