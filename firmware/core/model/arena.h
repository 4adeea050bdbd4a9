/* Bump allocation in the memory regions of a board: no heap, and every byte has an owner.
 *
 * A model and its state are laid out once, at LOAD; nothing is allocated while tokens are
 * generated. Freeing is rewinding to a mark, so fragmentation cannot happen. */
#ifndef TLEP_ARENA_H
#define TLEP_ARENA_H

#include <stdint.h>

typedef struct {
    const char *name;    /* region name as in HELLO */
    /* Must be aligned to 32 bytes or more. Otherwise the formula for what fits is wrong. */
    uint8_t *base;
    uint32_t size;       /* bytes */
    uint32_t used;       /* bytes, alignment padding included */
    uint32_t high_water; /* largest `used` since the last model was unloaded */
} tlep_arena;

/* Take `bytes` aligned to `align` (a power of two); NULL, and no change, when there is no room.
 * The bytes are not cleared. */
void *tlep_arena_alloc(tlep_arena *a, uint32_t bytes, uint32_t align);

/* Take `bytes` from the first of `n` arenas that has room. *which gets its index (unchanged on
 * failure). */
void *tlep_arena_place(tlep_arena *arenas, uint32_t n, uint32_t bytes, uint32_t align,
                       uint32_t *which);

/* Free all that was taken since `used` had the value `mark`. A mark of 0 frees everything. */
void tlep_arena_reset(tlep_arena *a, uint32_t mark);

/* The largest request with this alignment that some arena could satisfy now. */
uint32_t tlep_arena_largest_free(const tlep_arena *arenas, uint32_t n, uint32_t align);

#endif
