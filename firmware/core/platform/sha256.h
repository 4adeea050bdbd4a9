/* SHA-256 (FIPS 180-4), for naming models by content. */
#ifndef TLEP_SHA256_H
#define TLEP_SHA256_H

#include <stdint.h>

enum { TLEP_SHA256_BYTES = 32 };

/* In pieces: start, then whole blocks in order, then end with the bytes that are left, fewer than a
 * block. */
enum { TLEP_SHA256_BLOCK_BYTES = 64 };

typedef struct {
    uint32_t state[8];
    uint32_t bytes; /* so far */
} tlep_sha256_pieces;

void tlep_sha256_start(tlep_sha256_pieces *pieces);
void tlep_sha256_blocks(tlep_sha256_pieces *pieces, const uint8_t *data, uint32_t n_blocks);
void tlep_sha256_end(tlep_sha256_pieces *pieces, const uint8_t *rest, uint32_t bytes,
                     uint8_t digest[TLEP_SHA256_BYTES]);

/* At once. */
void tlep_sha256(const uint8_t *data, uint32_t bytes, uint8_t digest[TLEP_SHA256_BYTES]);

#endif
