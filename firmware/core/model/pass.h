/* The forward pass as text, compiled twice: forward.c has it plain, profile_pass.c with the timer
 * read after each operator. So nothing of a profile is in a timed run.
 *
 * Who includes it defines two macros, empty in forward.c:
 *   DID(operator, layer, positions)  the time since the last one went to this operator; layer
 *                                    n_layers stands for what belongs to none; `positions` is how
 *                                    many cached positions it read, or 1
 *   QUANTIZED(weight, layer)         quantise the input for this weight, unless that is done: the
 *                                    product would do it too, and its time would be mixed in
 *
 * Every float operation has a written order (docs/arithmetic.md). */
#include <stddef.h>
#include <string.h>

#include "kernels/attention.h"
#include "kernels/fmath.h"
#include "kernels/fp16.h"
#include "model/llama.h"

static void matvec(tlep_llama *m, float *y, tlep_weight w, uint32_t rows)
{
    tlep_matvec(y, m->file + w.offset, w.type, rows, &m->act);
}

/* y = x / rms(x) · weight */
static void rms_norm(const tlep_llama *m, float *y, const float *x, tlep_weight weight)
{
    uint32_t n = m->hp.dim;
    const float *w = (const float *)(const void *)(m->file + weight.offset);
    float mean = tlep_dot(x, x, n) / (float)n;
    float scale = 1.0f / tlep_sqrtf(mean + m->hp.rms_eps);
    for (uint32_t i = 0; i < n; i++) {
        y[i] = (x[i] * scale) * w[i];
    }
}

static void add(float *x, const float *y, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        x[i] += y[i];
    }
}

static void prepare_rotation(tlep_llama *m, uint32_t pos)
{
    for (uint32_t i = 0; i < m->hp.rope_dim / 2; i++) {
        tlep_sincosf((float)pos * m->inv_freq[i], &m->cos_sin[2 * (size_t)i + 1],
                     &m->cos_sin[2 * (size_t)i]);
    }
}

/* Rotate adjacent pairs (llama's NORM order) of the first rope_dim elements of each head. */
static void rotate(const tlep_llama *m, float *heads, uint32_t n_heads)
{
    for (uint32_t h = 0; h < n_heads; h++, heads += m->hp.head_dim) {
        for (uint32_t i = 0; i < m->hp.rope_dim; i += 2) {
            float c = m->cos_sin[i];
            float s = m->cos_sin[i + 1];
            float a = heads[i];
            float b = heads[i + 1];
            heads[i] = a * c - b * s;
            heads[i + 1] = a * s + b * c;
        }
    }
}

/* Row `pos` of one kv head in a cache. */
static uint8_t *cache_row(const tlep_llama *m, uint8_t *cache, uint32_t layer, uint32_t head,
                          uint32_t pos)
{
    size_t row = ((size_t)layer * m->hp.n_heads_kv + head) * m->n_ctx + pos;
    return cache + row * m->hp.head_dim * tlep_kv_element_bytes(m->kv_type);
}

static void store_kv(const tlep_llama *m, uint8_t *cache, uint32_t layer, uint32_t pos,
                     const float *heads)
{
    uint32_t n = m->hp.head_dim;
    for (uint32_t h = 0; h < m->hp.n_heads_kv; h++, heads += n) {
        void *row = cache_row(m, cache, layer, h, pos);
        if (m->kv_type == TLEP_KV_F32) {
            memcpy(row, heads, n * sizeof *heads);
            continue;
        }
        uint16_t *half = row;
        for (uint32_t i = 0; i < n; i++) {
            half[i] = tlep_f32_to_f16(heads[i]);
        }
    }
}

/* Attention of query head `head`, and of the next one where both read the same kv head, into their
 * part of xb. Returns how many heads it did. */
static uint32_t attend(tlep_llama *m, uint32_t layer, uint32_t head, uint32_t pos)
{
    uint32_t n = m->hp.head_dim;
    uint32_t group = m->hp.n_heads / m->hp.n_heads_kv;
    uint32_t heads = head % group + 1 < group ? 2 : 1;
    bool half = m->kv_type == TLEP_KV_F16;
    float scale = 1.0f / tlep_sqrtf((float)n);
    const float *q = m->q + (size_t)head * n;
    float *out = m->xb + (size_t)head * n;
    float *second = m->att + m->n_ctx;
    const uint8_t *keys = cache_row(m, m->k_cache, layer, head / group, 0);
    const uint8_t *values = cache_row(m, m->v_cache, layer, head / group, 0);
    if (heads == 2) {
        tlep_attention_scores_pair(m->att, second, q, keys, half, pos + 1, n, scale);
    } else {
        tlep_attention_scores(m->att, q, keys, half, pos + 1, n, scale);
    }
    DID(TLEP_DO_SCORES, layer, heads * (pos + 1));
    float norms[2] = {tlep_attention_exp(m->att, pos + 1),
                      heads == 2 ? tlep_attention_exp(second, pos + 1) : 0.0f};
    DID(TLEP_DO_SOFTMAX, layer, heads * (pos + 1));
    if (heads == 2) {
        tlep_attention_mix_pair(out, m->att, second, values, half, pos + 1, n, norms);
    } else {
        tlep_attention_mix(out, m->att, values, half, pos + 1, n, norms[0]);
    }
    DID(TLEP_DO_MIX, layer, heads * (pos + 1));
    return heads;
}

static void attention_block(tlep_llama *m, uint32_t layer, uint32_t pos)
{
    const tlep_layer *l = &m->layers[layer];
    const tlep_hparams *h = &m->hp;
    rms_norm(m, m->xb, m->x, l->attn_norm);
    DID(TLEP_DO_NORM, layer, 1);
    tlep_act_set(&m->act, m->xb, h->dim);
    QUANTIZED(l->attn_q, layer);
    matvec(m, m->q, l->attn_q, h->dim);
    DID(TLEP_DO_Q, layer, 1);
    QUANTIZED(l->attn_k, layer);
    matvec(m, m->k, l->attn_k, tlep_kv_dim(h));
    DID(TLEP_DO_K, layer, 1);
    QUANTIZED(l->attn_v, layer);
    matvec(m, m->v, l->attn_v, tlep_kv_dim(h));
    DID(TLEP_DO_V, layer, 1);
    rotate(m, m->q, h->n_heads);
    rotate(m, m->k, h->n_heads_kv);
    DID(TLEP_DO_ROPE, layer, 1);
    store_kv(m, m->k_cache, layer, pos, m->k);
    store_kv(m, m->v_cache, layer, pos, m->v);
    DID(TLEP_DO_CACHE_WRITE, layer, 1);
    for (uint32_t head = 0; head < h->n_heads;) {
        head += attend(m, layer, head, pos);
    }
    tlep_act_set(&m->act, m->xb, h->dim);
    QUANTIZED(l->attn_output, layer);
    matvec(m, m->q, l->attn_output, h->dim); /* q is free again */
    DID(TLEP_DO_ATTN_OUTPUT, layer, 1);
    add(m->x, m->q, h->dim);
    DID(TLEP_DO_RESIDUAL, layer, 1);
}

/* down(silu(gate(x)) · up(x)), where silu(g) = g / (1 + e^-g) */
static void feed_forward_block(tlep_llama *m, uint32_t layer)
{
    const tlep_layer *l = &m->layers[layer];
    const tlep_hparams *h = &m->hp;
    rms_norm(m, m->xb, m->x, l->ffn_norm);
    DID(TLEP_DO_NORM, layer, 1);
    tlep_act_set(&m->act, m->xb, h->dim);
    QUANTIZED(l->ffn_gate, layer);
    matvec(m, m->hb, l->ffn_gate, h->hidden);
    DID(TLEP_DO_GATE, layer, 1);
    QUANTIZED(l->ffn_up, layer);
    matvec(m, m->hb2, l->ffn_up, h->hidden);
    DID(TLEP_DO_UP, layer, 1);
    tlep_swiglu(m->hb, m->hb2, h->hidden);
    DID(TLEP_DO_SWIGLU, layer, 1);
    tlep_act_set(&m->act, m->hb, h->hidden);
    QUANTIZED(l->ffn_down, layer);
    matvec(m, m->xb, l->ffn_down, h->dim);
    DID(TLEP_DO_DOWN, layer, 1);
    add(m->x, m->xb, h->dim);
    DID(TLEP_DO_RESIDUAL, layer, 1);
}

/* All layers: what prompt positions need whose logits nobody reads. False unless token < n_vocab,
 * pos < n_ctx and every position before `pos` has been run. */
static bool pass(tlep_llama *m, uint32_t token, uint32_t pos)
{
    if (token >= m->hp.n_vocab || pos >= m->n_ctx || pos > m->n_past) {
        return false;
    }
    uint32_t dim = m->hp.dim;
    size_t row = (size_t)token * tlep_row_bytes(m->token_embd.type, dim);
    tlep_dequantize_row(m->x, m->file + m->token_embd.offset + row, m->token_embd.type, dim);
    DID(TLEP_DO_EMBEDDING, m->hp.n_layers, 1);
    prepare_rotation(m, pos);
    DID(TLEP_DO_ROPE, m->hp.n_layers, 1);
    for (uint32_t i = 0; i < m->hp.n_layers; i++) {
        attention_block(m, i, pos);
        feed_forward_block(m, i);
    }
    m->n_past = pos + 1;
    return true;
}

/* The output head after pass(): the logits. */
static const float *head(tlep_llama *m)
{
    rms_norm(m, m->xb, m->x, m->output_norm);
    DID(TLEP_DO_NORM, m->hp.n_layers, 1);
    tlep_act_set(&m->act, m->xb, m->hp.dim);
    QUANTIZED(m->output, m->hp.n_layers);
    matvec(m, m->logits, m->output, m->hp.n_vocab);
    DID(TLEP_DO_HEAD, m->hp.n_layers, 1);
    return m->logits;
}
