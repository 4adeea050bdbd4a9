/* Reads the metadata keys of a GGUF file by the rules of gguf_rules.h. gguf.c has found where each
 * value is (tlep_gguf.value_at). For gguf.c only. */
#ifndef TLEP_GGUF_HPARAMS_H
#define TLEP_GGUF_HPARAMS_H

#include "model/gguf.h"

/* The key of that name; TLEP_N_KEYS for one that the board does not look at. */
uint32_t tlep_gguf_key_of(const uint8_t *name, uint64_t bytes);

/* Fill *err with the key's name, and return `code`. */
int tlep_gguf_refuse_key(tlep_key key, tlep_code code, uint64_t value, uint32_t limit,
                         tlep_error *err);

/* Read general.alignment: a power of two, 32 when the file has no such key. */
int tlep_gguf_alignment(const tlep_gguf *g, uint32_t *alignment, tlep_error *err);

/* Fill g->hparams, or refuse a model that the forward pass does not compute. The tensors have to be
 * known already: the vocabulary is as long as token_embd. */
int tlep_gguf_read_hparams(tlep_gguf *g, tlep_error *err);

#endif
