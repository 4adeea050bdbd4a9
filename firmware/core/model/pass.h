/* The forward pass as text, compiled twice: forward.c has it plain, profile_pass.c with the timer
 * read after each operator. So nothing of a profile is in a timed run.
 *
 * Who includes it defines two macros, empty in forward.c:
 *   DID(operator, layer, positions)  the time since the last one went to this operator; layer
 *                                    n_layers stands for what belongs to none; `positions` is how
 *                                    many cached positions it read, or else worked for
 *   QUANTIZED(weight, layer, n)      quantise the inputs of n positions for this weight, unless
 *                                    that is done: the product would do it too, and its time would
 *                                    be mixed in
 *
 * Every float operation has a written order (docs/arithmetic.md). */
#include <stddef.h>

#include "kernels/attention.h"
#include "kernels/fmath.h"
#include "model/steps.h"

/* A copy for one position would be a kilobyte, to save a few instructions in ten thousand. */
#ifdef __clang__
#define ONE_COPY static __attribute__((noinline))
#else
#define ONE_COPY static __attribute__((noinline, noclone))
#endif

/* Of n positions: the batch of a prompt, or one. */
static void matmul(tlep_llama *m, float *y, tlep_weight w, uint32_t rows, uint32_t n)
{
    tlep_matmul(y, m->file + w.offset, w.type, rows, &m->act, n);
}

/* Attention of query head `head`, and of the next one where both read the same kv head, into their
 * part of xb; `index` is the position's in its batch. Returns how many heads it did. */
static uint32_t attend(tlep_llama *m, uint32_t layer, uint32_t head, uint32_t pos, uint32_t index)
{
    uint32_t n = m->hp.head_dim;
    uint32_t group = m->hp.n_heads / m->hp.n_heads_kv;
    uint32_t heads = head % group + 1 < group ? 2 : 1;
    bool half = m->kv_type == TLEP_KV_F16;
    float scale = 1.0f / tlep_sqrtf((float)n);
    size_t from = ((size_t)index * m->hp.n_heads + head) * n;
    const float *q = m->q + from;
    float *out = m->xb + from;
    float *second = m->att + m->n_ctx;
    const uint8_t *keys = tlep_cache_row(m, m->k_cache, layer, head / group, 0);
    const uint8_t *values = tlep_cache_row(m, m->v_cache, layer, head / group, 0);
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

static void attention_block(tlep_llama *m, uint32_t layer, uint32_t pos, uint32_t n)
{
    const tlep_layer *l = &m->layers[layer];
    const tlep_hparams *h = &m->hp;
    tlep_rms_norm(m, l->attn_norm, n);
    DID(TLEP_DO_NORM, layer, n);
    tlep_act_set(&m->act, m->xb, h->dim);
    QUANTIZED(l->attn_q, layer, n);
    matmul(m, m->q, l->attn_q, h->dim, n);
    DID(TLEP_DO_Q, layer, n);
    QUANTIZED(l->attn_k, layer, n);
    matmul(m, m->k, l->attn_k, tlep_kv_dim(h), n);
    DID(TLEP_DO_K, layer, n);
    QUANTIZED(l->attn_v, layer, n);
    matmul(m, m->v, l->attn_v, tlep_kv_dim(h), n);
    DID(TLEP_DO_V, layer, n);
    tlep_rotate(m, m->q, h->n_heads, n);
    tlep_rotate(m, m->k, h->n_heads_kv, n);
    DID(TLEP_DO_ROPE, layer, n);
    tlep_store_kv(m, m->k_cache, layer, pos, m->k, n);
    tlep_store_kv(m, m->v_cache, layer, pos, m->v, n);
    DID(TLEP_DO_CACHE_WRITE, layer, n);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t head = 0; head < h->n_heads;) {
            head += attend(m, layer, head, pos + i, i);
        }
    }
    tlep_act_set(&m->act, m->xb, h->dim);
    QUANTIZED(l->attn_output, layer, n);
    matmul(m, m->q, l->attn_output, h->dim, n); /* q is free again */
    DID(TLEP_DO_ATTN_OUTPUT, layer, n);
    tlep_add(m->x, m->q, n * h->dim);
    DID(TLEP_DO_RESIDUAL, layer, n);
}

/* down(silu(gate(x)) · up(x)), where silu(g) = g / (1 + e^-g) */
static void feed_forward_block(tlep_llama *m, uint32_t layer, uint32_t n)
{
    const tlep_layer *l = &m->layers[layer];
    const tlep_hparams *h = &m->hp;
    tlep_rms_norm(m, l->ffn_norm, n);
    DID(TLEP_DO_NORM, layer, n);
    tlep_act_set(&m->act, m->xb, h->dim);
    QUANTIZED(l->ffn_gate, layer, n);
    matmul(m, m->hb, l->ffn_gate, h->hidden, n);
    DID(TLEP_DO_GATE, layer, n);
    QUANTIZED(l->ffn_up, layer, n);
    matmul(m, m->hb2, l->ffn_up, h->hidden, n);
    DID(TLEP_DO_UP, layer, n);
    tlep_swiglu(m->hb, m->hb2, n * h->hidden);
    DID(TLEP_DO_SWIGLU, layer, n);
    tlep_act_set(&m->act, m->hb, h->hidden);
    QUANTIZED(l->ffn_down, layer, n);
    matmul(m, m->xb, l->ffn_down, h->dim, n);
    DID(TLEP_DO_DOWN, layer, n);
    tlep_add(m->x, m->xb, n * h->dim);
    DID(TLEP_DO_RESIDUAL, layer, n);
}

/* All layers, for n positions (1 or m->batch) from `pos` on: what prompt positions need whose logits
 * nobody reads. False unless each token < n_vocab, they fit in n_ctx and every position before `pos`
 * has been run. */
ONE_COPY bool pass(tlep_llama *m, const uint32_t *tokens, uint32_t pos, uint32_t n)
{
    if (pos > m->n_past || pos >= m->n_ctx || n > m->n_ctx - pos) {
        return false;
    }
    uint32_t dim = m->hp.dim;
    uint32_t type = m->token_embd.type;
    for (uint32_t i = 0; i < n; i++) {
        if (tokens[i] >= m->hp.n_vocab) {
            return false;
        }
        size_t row = (size_t)tokens[i] * tlep_row_bytes(type, dim);
        tlep_dequantize_row(m->x + (size_t)i * dim, m->file + m->token_embd.offset + row, type, dim);
    }
    DID(TLEP_DO_EMBEDDING, m->hp.n_layers, n);
    tlep_prepare_rotation(m, pos, n);
    DID(TLEP_DO_ROPE, m->hp.n_layers, n);
    for (uint32_t i = 0; i < m->hp.n_layers; i++) {
        attention_block(m, i, pos, n);
        feed_forward_block(m, i, n);
    }
    m->n_past = pos + n;
    return true;
}

/* The output head after pass(): the logits. */
static const float *head(tlep_llama *m)
{
    tlep_rms_norm(m, m->output_norm, 1);
    DID(TLEP_DO_NORM, m->hp.n_layers, 1);
    tlep_act_set(&m->act, m->xb, m->hp.dim);
    QUANTIZED(m->output, m->hp.n_layers, 1);
    matmul(m, m->logits, m->output, m->hp.n_vocab, 1);
    DID(TLEP_DO_HEAD, m->hp.n_layers, 1);
    return m->logits;
}
