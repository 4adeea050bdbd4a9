/* The identity of an emulated board: words that QEMU's loader puts at a fixed address
 * (emulated/protocol_qemu.py). An emulated chip has no unique id of its own, but several boards of
 * one kind must differ. */
#ifndef TLEP_IDENTITY_H
#define TLEP_IDENTITY_H

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

/* Take the uid from `address`, and return the boot seed; an unlabelled board is uid 00. */
static inline uint32_t tlep_identity_read(uintptr_t address, tlep_board *board)
{
    tlep_identity id;
    memcpy(&id, (const void *)address, sizeof id);
    board->uid_bytes = 1;
    if (id.magic != TLEP_IDENTITY_MAGIC || id.uid_bytes == 0 || id.uid_bytes > sizeof id.uid) {
        return 0;
    }
    board->uid_bytes = (uint8_t)id.uid_bytes;
    memcpy(board->uid, id.uid, sizeof id.uid);
    return id.seed;
}

#endif
