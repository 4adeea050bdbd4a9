/* A model in flash, as the flash tool or QEMU's loader put it (docs/link-protocol.md, section
 * 6). */
#ifndef TLEP_SLOT_H
#define TLEP_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/hal.h"
#include "platform/sha256.h"

enum { TLEP_SLOT_HEADER_BYTES = 64 };

typedef struct {
    const uint8_t *data; /* the GGUF */
    uint32_t size;       /* bytes */
    const char *region;
    uint8_t sha256[TLEP_SHA256_BYTES]; /* of `data`, computed here: no header is trusted */
} tlep_slot;

/* Look for a slot at the start of `region`; true, and *slot filled, when its bytes have the hash
 * its header names. */
bool tlep_slot_open(tlep_slot *slot, const tlep_region *region);

#endif
