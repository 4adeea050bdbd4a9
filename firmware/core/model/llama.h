/* The llama forward pass: one token at a time, on memory laid out beforehand.
 *
 * Every float operation has a written order (docs/arithmetic.md), so that every port, and the numpy
 * reference, computes the same bits. Speed comes from kernels.h, never from reordering. */
#ifndef TLEP_LLAMA_H
#define TLEP_LLAMA_H

#include <stdbool.h>
#include <stdint.h>

#include "model/arena.h"
#include "platform/error.h"
#include "model/gguf.h"
#include "kernels/kernels.h"

typedef enum { TLEP_KV_F32 = 0, TLEP_KV_F16 = 1 } tlep_kv_type; /* ggml ids, as in LOAD */

/* A weight matrix or vector: where it is in the file. Offsets, not pointers, so that the table of
 * layers takes the same bytes on 32- and 64-bit boards and the fit formula holds for both. */
typedef struct {
    uint32_t offset;
    uint32_t type; /* tlep_type */
} tlep_weight;

typedef struct {
    tlep_weight attn_norm;   /* (dim) F32 */
    tlep_weight attn_q;      /* (dim, dim) */
    tlep_weight attn_k;      /* (kv_dim, dim) */
    tlep_weight attn_v;      /* (kv_dim, dim) */
    tlep_weight attn_output; /* (dim, dim) */
    tlep_weight ffn_norm;    /* (dim) F32 */
    tlep_weight ffn_gate;    /* (hidden, dim) */
    tlep_weight ffn_up;      /* (hidden, dim) */
    tlep_weight ffn_down;    /* (dim, hidden) */
} tlep_layer;

/* Where a part of the model's state went, for LOAD's memory list. */
typedef struct {
    const char *category; /* "kv" or "activations" */
    uint32_t arena;       /* index into the arenas given to tlep_llama_prepare */
    uint32_t bytes;
} tlep_placement;

enum { TLEP_N_PLACEMENTS = 3 }; /* keys, values, activations */

typedef struct {
    tlep_hparams hp;
    const uint8_t *file;  /* the GGUF */
    tlep_kv_type kv_type;
    uint32_t n_ctx;
    uint32_t n_past;      /* positions in the KV cache */
    uint32_t batch;       /* positions of a prompt that go through a layer together */
    tlep_placement placements[TLEP_N_PLACEMENTS];

    tlep_weight token_embd;  /* (n_vocab, dim) */
    tlep_weight output_norm; /* (dim) F32 */
    tlep_weight output;      /* (n_vocab, dim); token_embd again when tied */

    /* (layer, kv head, n_ctx, head_dim) of kv_type: one head's past is contiguous */
    uint8_t *k_cache;
    uint8_t *v_cache;  /* same */
    tlep_layer *layers; /* (n_layers) */
    float *x;          /* (batch, dim) residual stream */
    float *xb;         /* (batch, dim) normed input, then attention output */
    float *q;          /* (batch, dim) */
    float *k;          /* (batch, kv_dim) of the current positions */
    float *v;          /* (batch, kv_dim) of the current positions */
    float *hb;         /* (batch, hidden) gate */
    float *hb2;        /* (batch, hidden) up */
    float *att;        /* (2, n_ctx) scores of two heads */
    float *inv_freq;   /* (rope_dim / 2) radians per position */
    float *cos_sin;    /* (batch, rope_dim) cos, sin of the current positions, interleaved */
    float *logits;     /* (n_vocab) */
    tlep_act act;      /* the input of the current matrix-vector product, quantised on demand */

    struct tlep_profile *profile; /* where a profiled run counts; NULL in any other */
} tlep_llama;

/* Find and check every tensor of `g`, and lay out KV cache and activations for `n_ctx` positions in
 * the first arena with room for each. Allocates all or nothing. Returns TLEP_OK or a code with *err
 * filled: MISSING, MALFORMED, TENSOR_TYPE, ARCHITECTURE (the model has parts this forward pass
 * would ignore), CONTEXT (n_ctx is 0 or beyond the model's), NO_MEMORY (requested: all bytes it
 * needs; available: all free). */
int tlep_llama_prepare(tlep_llama *m, const tlep_gguf *g, uint32_t n_ctx, tlep_kv_type kv,
                       tlep_arena *arenas, uint32_t n_arenas, tlep_error *err);

/* Length of a row of k or v. */
static inline uint32_t tlep_kv_dim(const tlep_hparams *hp)
{
    return hp->n_heads_kv * hp->head_dim;
}

static inline uint32_t tlep_kv_element_bytes(tlep_kv_type kv)
{
    return kv == TLEP_KV_F16 ? 2 : 4;
}

/* Bytes tlep_llama_prepare takes (docs/arithmetic.md, "Memory"). The KV cache is two halves of
 * kv_bytes / 2, which may go to different arenas. 64 bit, since a hostile n_ctx must not wrap. */
uint64_t tlep_llama_kv_bytes(const tlep_hparams *hp, uint32_t n_ctx, tlep_kv_type kv);
uint64_t tlep_llama_activation_bytes(const tlep_hparams *hp, uint32_t n_ctx, uint32_t batch);

/* Forget the past: the next position is 0. */
void tlep_llama_reset(tlep_llama *m);

/* Run `token` at position `pos` and return the logits (n_vocab), valid until the next call.
 * NULL unless token < n_vocab, pos < n_ctx and every position before `pos` has been run. */
const float *tlep_llama_forward(tlep_llama *m, uint32_t token, uint32_t pos);

/* The same of `n` tokens (1 or m->batch) from `pos` on without the output head, for prompt positions
 * whose logits nobody reads. Each position's bits are those of a batch of one. */
bool tlep_llama_prefill(tlep_llama *m, const uint32_t *tokens, uint32_t pos, uint32_t n);

/* Index of the largest; the lowest index wins ties. */
uint32_t tlep_argmax(const float *logits, uint32_t n);

/* Natural log of softmax(logits)[target]. */
float tlep_log_softmax(const float *logits, uint32_t n, uint32_t target);

#endif
