/* The two regions that most chips have: the RAM that the linker left for models, and the flash
 * behind the firmware. */
#ifndef TLEP_REGIONS_H
#define TLEP_REGIONS_H

#include <stdint.h>

#include "platform/hal.h"

extern uint8_t link_models_start[], link_models_end[];

/* `total` is the size of the whole memory on the chip, in bytes. */
static inline tlep_region tlep_models_region(const char *name, uint32_t total)
{
    return (tlep_region){.name = name,
                         .kind = TLEP_REGION_RAM,
                         .base = link_models_start,
                         .size = (uint32_t)(link_models_end - link_models_start),
                         .total = total};
}

/* A model slot of `size` bytes from address `base`. */
static inline tlep_region tlep_slot_region(const char *name, uintptr_t base, uint32_t size,
                                           uint32_t total)
{
    return (tlep_region){.name = name,
                         .kind = TLEP_REGION_FLASH,
                         .base = (uint8_t *)base,
                         .size = size,
                         .total = total};
}

#endif
