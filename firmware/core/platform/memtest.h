/* A test of whether RAM keeps its contents: each word gets its own address, then that address's
 * complement.
 *
 * So every bit holds a 0 and a 1. Two addresses that meet in one cell show too, because a pass goes
 * over all memory before the next one reads it. The host cuts the passes into pieces, so that
 * the link stays served. */
#ifndef TLEP_MEMTEST_H
#define TLEP_MEMTEST_H

#include <stdbool.h>
#include <stdint.h>

#include "model/arena.h"

/* The longest piece: some milliseconds, even at 25 MHz. */
enum { TLEP_MEMTEST_MAX_BYTES = 64 * 1024 };

typedef enum {
    TLEP_MEMTEST_FILL = 0,   /* write the addresses */
    TLEP_MEMTEST_INVERT = 1, /* expect them, and write their complements */
    TLEP_MEMTEST_CHECK = 2   /* expect the complements */
} tlep_memtest_pass;

typedef struct {
    uint32_t offset; /* of the first word that did not hold, from the arena's start */
    uint32_t expected;
    uint32_t got;
} tlep_memtest_bad;

/* Do one pass over `bytes` at `offset`, both multiples of 4 inside the arena; false, and *bad
 * filled, at the first word that does not hold. */
bool tlep_memtest(const tlep_arena *a, uint32_t offset, uint32_t bytes, tlep_memtest_pass pass,
                  tlep_memtest_bad *bad);

#endif
