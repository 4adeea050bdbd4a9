/* The chip's own id. UNIQUE_ID, of 96 bits, is where the family's header, family.h, says. */
#ifndef TLEP_CHIP_ID_H
#define TLEP_CHIP_ID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "family.h"
#include "identity.h"

enum { UNIQUE_ID_BYTES = 12 };

/* Take the chip's id and a boot seed; false where an emulator says that it is one (identity.h), or
 * shows it: its cycle counter does not count, or there is no id. */
static inline bool chip_id_read(uintptr_t identity, bool counts, tlep_board *board, uint32_t *seed)
{
    if (tlep_identity_read(identity, board, seed) || !counts
        || !tlep_readable(UNIQUE_ID + UNIQUE_ID_BYTES - 4)) {
        return false;
    }
    board->uid_bytes = UNIQUE_ID_BYTES;
    memcpy(board->uid, (const void *)UNIQUE_ID, UNIQUE_ID_BYTES);
    memcpy(seed, board->uid + 4, sizeof *seed);
    return true;
}

#endif
