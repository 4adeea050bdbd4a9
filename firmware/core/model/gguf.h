/* Reading a GGUF file in place, treating it as hostile.
 *
 *   "GGUF"  version:u32 = 2 or 3  n_tensors:u64  n_kv:u64
 *   n_kv ×      key:string  type:u32  value
 *   n_tensors × name:string  n_dims:u32  ne:u64[n_dims]  type:u32  offset:u64
 *   padding to general.alignment (default 32)
 *   tensor data; every offset is relative to here and aligned
 *
 * All little-endian; string := length:u64 bytes (no NUL). Metadata is byte-packed, so it is read
 * bytewise: Cortex-M0 and strict RISC-V fault on unaligned words. ne[0] is the contiguous row
 * length.
 *
 * tlep_gguf_open() checks every length, count and offset once; afterwards a tensor returned by
 * tlep_gguf_tensor() lies inside the file, whole. Nothing is copied: the file must stay where it
 * is. */
#ifndef TLEP_GGUF_H
#define TLEP_GGUF_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/error.h"
#include "model/gguf_rules.h"

/* ggml's ids of the tensor types that have kernels here. */
typedef enum {
    TLEP_TYPE_F32 = 0,
    TLEP_TYPE_F16 = 1,
    TLEP_TYPE_Q4_0 = 2,
    TLEP_TYPE_Q8_0 = 8,
    TLEP_TYPE_TQ2_0 = 35
} tlep_type;

enum { TLEP_N_TYPES = 5 };
extern const uint8_t tlep_types[TLEP_N_TYPES]; /* those ids, for HELLO */

/* The keys of gguf_rules.h. */
#define TLEP_GGUF_KEY_ID(id, ...) TLEP_KEY_##id,
typedef enum {
    TLEP_GGUF_KEYS(TLEP_GGUF_KEY_ID, TLEP_GGUF_KEY_ID, TLEP_GGUF_KEY_ID, TLEP_GGUF_KEY_ID)
        TLEP_N_KEYS
} tlep_key;

typedef struct {
    uint32_t n_vocab;   /* rows of token_embd */
    uint32_t n_ctx;     /* positions the model was trained for */
    uint32_t dim;       /* width of the residual stream */
    uint32_t hidden;    /* width of the feed-forward layer */
    uint32_t n_layers;
    uint32_t n_heads;
    uint32_t n_heads_kv;
    uint32_t head_dim;  /* dim / n_heads */
    uint32_t rope_dim;  /* leading elements of each head that are rotated */
    float rms_eps;
    float rope_base;
} tlep_hparams;

typedef struct {
    const uint8_t *name; /* not NUL-terminated */
    uint32_t name_bytes;
    uint32_t n_dims;
    uint32_t ne[4]; /* ne[0]: row length; unused dimensions are 1 */
    tlep_type type;
    uint32_t offset; /* from the start of the file, aligned */
    uint32_t bytes;
} tlep_tensor;

typedef struct {
    const uint8_t *data;
    uint32_t size;
    uint32_t n_kv;
    uint32_t n_tensors;
    uint32_t infos_at; /* offset of the first tensor info */
    uint32_t data_at;  /* offset of the data section */
    uint64_t parameters; /* elements of all tensors */
    tlep_hparams hparams;
    /* offset of each key's value, from its type on; 0: the file has no such key */
    uint32_t value_at[TLEP_N_KEYS];
} tlep_gguf;

/* Check `size` bytes at `data` (4-byte aligned) and fill *g. Returns TLEP_OK, or a 3xx code with
 * *err filled: NOT_GGUF, TRUNCATED, ARCHITECTURE, TENSOR_TYPE (requested = the type's id),
 * MALFORMED, MISSING. */
int tlep_gguf_open(tlep_gguf *g, const uint8_t *data, uint32_t size, tlep_error *err);

/* Find a tensor by name (look-up by name because the order is the writer's). False if absent. */
bool tlep_gguf_tensor(const tlep_gguf *g, const char *name, tlep_tensor *t);

/* Elements in a block of this type, and the bytes it takes; 0 for an unsupported type. */
uint32_t tlep_type_block(uint32_t type);
uint32_t tlep_type_bytes(uint32_t type);

/* Bytes of a row of n elements, a whole number of blocks. */
uint32_t tlep_row_bytes(uint32_t type, uint32_t n);

#endif
