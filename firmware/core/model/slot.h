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
    uint32_t size;       /* bytes; 0: there is no slot */
    const char *region;
    const uint8_t *sha256; /* as the slot's header names it */
    bool verified;         /* the bytes have that hash: no header is trusted */
    tlep_sha256_pieces hash;
} tlep_slot;

/* Look for a slot at the start of `region`; true, and *slot filled but not verified, when there
 * seems to be one. */
bool tlep_slot_find(tlep_slot *slot, const tlep_region *region);

/* Hash the next piece of a slot that is not verified yet; false when there is nothing to do. A slot
 * whose bytes turn out to have another hash is none. In pieces, because a slow core takes seconds
 * for it, and a board that is silent for so long seems dead. */
bool tlep_slot_check(tlep_slot *slot);

/* Bytes that tlep_slot_check has still to hash. */
uint32_t tlep_slot_unhashed(const tlep_slot *slot);

#endif
