#include "model/slot.h"

#include <string.h>

bool tlep_slot_open(tlep_slot *slot, const tlep_region *region)
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
    tlep_sha256(slot->data, size, slot->sha256);
    return memcmp(slot->sha256, header + 16, TLEP_SHA256_BYTES) == 0;
}
