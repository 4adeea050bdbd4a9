#include "model/slot.h"

#include <string.h>

/* A slow core (an emulated one: half a million instructions a second) hashes these 512 bytes in a
 * tenth of a second, so a request does not wait longer. */
enum { PIECE_BLOCKS = 8 };

bool tlep_slot_find(tlep_slot *slot, const tlep_region *region)
{
    static const char magic[8] = {'T', 'L', 'E', 'P', 'M', 'D', 'L', '1'};
    const uint8_t *header = region->base;
    uint32_t size;
    if (region->kind != TLEP_REGION_FLASH || region->size < TLEP_SLOT_HEADER_BYTES ||
        memcmp(header, magic, sizeof magic) != 0) {
        return false;
    }
    size = (uint32_t)header[8] | (uint32_t)header[9] << 8 | (uint32_t)header[10] << 16 |
           (uint32_t)header[11] << 24;
    if (size == 0 || size > region->size - TLEP_SLOT_HEADER_BYTES) {
        return false;
    }
    slot->data = header + TLEP_SLOT_HEADER_BYTES;
    slot->size = size;
    slot->region = region->name;
    slot->sha256 = header + 16;
    slot->verified = false;
    tlep_sha256_start(&slot->hash);
    return true;
}

bool tlep_slot_check(tlep_slot *slot)
{
    uint32_t left = tlep_slot_unhashed(slot);
    uint8_t digest[TLEP_SHA256_BYTES];
    if (left == 0) {
        return false;
    }
    if (left >= TLEP_SHA256_BLOCK_BYTES) {
        uint32_t n_blocks = left / TLEP_SHA256_BLOCK_BYTES;
        tlep_sha256_blocks(&slot->hash, slot->data + slot->hash.bytes,
                           n_blocks < PIECE_BLOCKS ? n_blocks : PIECE_BLOCKS);
        left = tlep_slot_unhashed(slot);
    }
    if (left < TLEP_SHA256_BLOCK_BYTES) {
        tlep_sha256_end(&slot->hash, slot->data + slot->size - left, left, digest);
        slot->verified = memcmp(digest, slot->sha256, TLEP_SHA256_BYTES) == 0;
        slot->size = slot->verified ? slot->size : 0;
    }
    return true;
}

uint32_t tlep_slot_unhashed(const tlep_slot *slot)
{
    return slot->size == 0 || slot->verified ? 0 : slot->size - slot->hash.bytes;
}
