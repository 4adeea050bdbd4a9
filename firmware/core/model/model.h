/* The model a board holds: uploaded into RAM or found in flash, and made ready to run. */
#ifndef TLEP_MODEL_H
#define TLEP_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "model/arena.h"
#include "platform/error.h"
#include "platform/hal.h"
#include "model/llama.h"
#include "model/slot.h"

/* An upload in progress, or complete once verified. The bytes stand at the start of one RAM
 * arena. */
typedef struct {
    uint8_t sha256[TLEP_SHA256_BYTES];
    uint32_t size;        /* 0: nothing uploaded */
    uint32_t next_offset; /* bytes received in order */
    uint8_t *data;
    uint32_t arena;
    uint32_t mark; /* that arena's `used` just after the upload */
    bool verified;
} tlep_upload;

typedef struct {
    const tlep_board *board;
    tlep_arena arenas[TLEP_REGIONS_MAX]; /* RAM regions only */
    uint32_t n_arenas;
    tlep_slot slot;
    tlep_upload upload;
    tlep_gguf gguf;
    tlep_llama llama;
    bool loaded;
    bool from_flash;
    uint32_t weight_bytes;
    const char *weight_region;
} tlep_model;

void tlep_model_init(tlep_model *m, const tlep_board *board);

/* Begin, or resume, the upload of `size` bytes named by `sha256`; drops what is loaded. */
int tlep_model_upload(tlep_model *m, const uint8_t *sha256, uint32_t size, tlep_error *err);

/* Append bytes at `offset`; false (and no change) unless they are the next ones and fit. */
bool tlep_model_append(tlep_model *m, uint32_t offset, const uint8_t *data, uint32_t bytes);

/* Drop what is loaded and what is uploaded: RAM is free. */
void tlep_model_clear(tlep_model *m);

/* Check that everything has arrived and hashes to its name. */
int tlep_model_verify(tlep_model *m, const uint8_t *sha256, tlep_error *err);

/* Make the model named by `sha256` ready for `n_ctx` positions, from flash if it is there, else
 * from RAM. */
int tlep_model_load(tlep_model *m, const uint8_t *sha256, uint32_t n_ctx, tlep_kv_type kv,
                    tlep_error *err);

#endif
