#include "model/steps.h"

#include <stddef.h>
#include <string.h>

#include "kernels/fmath.h"
#include "kernels/fp16.h"

void tlep_rms_norm(const tlep_llama *m, tlep_weight weight, uint32_t n)
{
    uint32_t dim = m->hp.dim;
    const float *w = (const float *)(const void *)(m->file + weight.offset);
    const float *x = m->x;
    float *y = m->xb;
    for (uint32_t p = 0; p < n; p++, x += dim, y += dim) {
        float mean = tlep_dot(x, x, dim) / (float)dim;
        float scale = 1.0f / tlep_sqrtf(mean + m->hp.rms_eps);
        for (uint32_t i = 0; i < dim; i++) {
            y[i] = (x[i] * scale) * w[i];
        }
    }
}

void tlep_add(float *x, const float *y, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        x[i] += y[i];
    }
}

void tlep_prepare_rotation(tlep_llama *m, uint32_t pos, uint32_t n)
{
    float *out = m->cos_sin;
    for (uint32_t p = pos; p < pos + n; p++) {
        for (uint32_t i = 0; i < m->hp.rope_dim / 2; i++, out += 2) {
            tlep_sincosf((float)p * m->inv_freq[i], out + 1, out);
        }
    }
}

void tlep_rotate(const tlep_llama *m, float *heads, uint32_t n_heads, uint32_t n)
{
    const float *cos_sin = m->cos_sin;
    for (uint32_t p = 0; p < n; p++, cos_sin += m->hp.rope_dim) {
        for (uint32_t h = 0; h < n_heads; h++, heads += m->hp.head_dim) {
            for (uint32_t i = 0; i < m->hp.rope_dim; i += 2) {
                float c = cos_sin[i];
                float s = cos_sin[i + 1];
                float a = heads[i];
                float b = heads[i + 1];
                heads[i] = a * c - b * s;
                heads[i + 1] = a * s + b * c;
            }
        }
    }
}

void tlep_store_kv(const tlep_llama *m, uint8_t *cache, uint32_t layer, uint32_t pos,
                   const float *heads, uint32_t n)
{
    uint32_t dim = m->hp.head_dim;
    for (uint32_t end = pos + n; pos < end; pos++) {
        for (uint32_t h = 0; h < m->hp.n_heads_kv; h++, heads += dim) {
            void *row = tlep_cache_row(m, cache, layer, h, pos);
            if (m->kv_type == TLEP_KV_F32) {
                memcpy(row, heads, dim * sizeof *heads);
                continue;
            }
            uint16_t *half = row;
            for (uint32_t i = 0; i < dim; i++) {
                half[i] = tlep_f32_to_f16(heads[i]);
            }
        }
    }
}
