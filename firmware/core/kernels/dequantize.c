/* Embedding rows: read once a token, so small before fast. */
#include <stddef.h>

#include "kernels/fmath.h"
#include "kernels/fp16.h"
#include "kernels/kernels.h"
#include "model/gguf.h"

static float block_scale(const uint8_t *p)
{
    uint16_t h;
    __builtin_memcpy(&h, p, sizeof h);
    return tlep_f16_to_f32(h);
}

void tlep_dequantize_row(float *y, const uint8_t *w, uint32_t type, uint32_t n)
{
    switch (type) {
    case TLEP_TYPE_F32: __builtin_memcpy(y, w, (size_t)n * sizeof *y); break;
    case TLEP_TYPE_F16:
        for (uint32_t i = 0; i < n; i++) {
            y[i] = block_scale(w + 2 * (size_t)i);
        }
        break;
    case TLEP_TYPE_Q4_0: /* f16 d; low nibble is element j, high is j + 16; d · (nibble - 8) */
        for (; n; n -= 32, y += 32, w += 18) {
            float d = block_scale(w);
            for (uint32_t j = 0; j < 16; j++) {
                y[j] = d * (float)((int32_t)(w[2 + j] & 15) - 8);
                y[j + 16] = d * (float)((int32_t)(w[2 + j] >> 4) - 8);
            }
        }
        break;
    case TLEP_TYPE_Q8_0: /* f16 d; 32 signed bytes */
        for (; n; n -= 32, y += 32, w += 34) {
            float d = block_scale(w);
            for (uint32_t j = 0; j < 32; j++) {
                y[j] = d * (float)(int8_t)w[2 + j];
            }
        }
        break;
    /* 64 bytes, then f16 d; byte 32h + m holds elements 128h + 32l + m at bits 2l */
    case TLEP_TYPE_TQ2_0:
        for (; n; n -= 256, y += 256, w += 66) {
            float d = block_scale(w + 64);
            for (uint32_t i = 0; i < 256; i++) {
                uint32_t byte = w[i / 128 * 32 + i % 32];
                y[i] = d * (float)((int32_t)(byte >> (i / 32 % 4 * 2) & 3) - 1);
            }
        }
        break;
    default: break;
    }
}
