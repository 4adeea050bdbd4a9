/* The identity of an emulated board: words that what emulates it puts at a fixed address at
 * power-on (emulated/). An emulated chip has no unique id of its own, but several boards of one
 * kind must differ. On silicon the magic is not there: that is how one image knows where it
 * runs, on emulators that show nothing else. */
#ifndef TLEP_IDENTITY_H
#define TLEP_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "platform/hal.h"

#define TLEP_IDENTITY_MAGIC 0x49444D51U

typedef struct {
    uint32_t magic;
    uint32_t uid_bytes;
    uint8_t uid[8];
    uint32_t seed; /* for the boot id */
} tlep_identity;

/* Take the uid and the boot seed from `address`; false, uid 00 and seed 0 where nobody put any. */
static inline bool tlep_identity_read(uintptr_t address, tlep_board *board, uint32_t *seed)
{
    tlep_identity id;
    memcpy(&id, (const void *)address, sizeof id);
    if (id.magic != TLEP_IDENTITY_MAGIC || id.uid_bytes == 0 || id.uid_bytes > sizeof id.uid) {
        board->uid_bytes = 1;
        *seed = 0;
        return false;
    }
    board->uid_bytes = (uint8_t)id.uid_bytes;
    memcpy(board->uid, id.uid, sizeof id.uid);
    *seed = id.seed;
    return true;
}

/* A boot id that differs from the one before, by how often the chip has started. */
static inline uint32_t tlep_boot_id(uint32_t seed, uint32_t boots)
{
    return seed ^ boots * 2654435761U;
}

#endif
