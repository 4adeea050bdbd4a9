/* SHA-256 (FIPS 180-4), for naming models by content. */
#ifndef TLEP_SHA256_H
#define TLEP_SHA256_H

#include <stdint.h>

enum { TLEP_SHA256_BYTES = 32 };

void tlep_sha256(const uint8_t *data, uint32_t bytes, uint8_t digest[TLEP_SHA256_BYTES]);

#endif
