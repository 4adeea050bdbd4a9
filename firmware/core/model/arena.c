#include "model/arena.h"

#include <stddef.h>

/* Bytes to skip from the end of what is used so that the next address is a multiple of `align`. The
 * address is aligned, not the offset: a region may start anywhere. */
static uint32_t padding(const tlep_arena *a, uint32_t align)
{
    uintptr_t end = (uintptr_t)a->base + a->used;
    return (uint32_t)(-end & (uintptr_t)(align - 1));
}

void *tlep_arena_alloc(tlep_arena *a, uint32_t bytes, uint32_t align)
{
    uint32_t skip = padding(a, align);
    uint32_t room = a->size - a->used;
    if (skip > room || bytes > room - skip) {
        return NULL;
    }
    uint8_t *p = a->base + a->used + skip;
    a->used += skip + bytes;
    if (a->used > a->high_water) {
        a->high_water = a->used;
    }
    return p;
}

void *tlep_arena_place(tlep_arena *arenas, uint32_t n, uint32_t bytes, uint32_t align,
                       uint32_t *which)
{
    for (uint32_t i = 0; i < n; i++) {
        void *p = tlep_arena_alloc(&arenas[i], bytes, align);
        if (p) {
            *which = i;
            return p;
        }
    }
    return NULL;
}

void tlep_arena_reset(tlep_arena *a, uint32_t mark)
{
    if (mark < a->used) {
        a->used = mark;
    }
}

uint32_t tlep_arena_largest_free(const tlep_arena *arenas, uint32_t n, uint32_t align)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t skip = padding(&arenas[i], align);
        uint32_t room = arenas[i].size - arenas[i].used;
        if (room > skip && room - skip > best) {
            best = room - skip;
        }
    }
    return best;
}
