/* How fast the board could be at best: reading a memory region, and multiplying with data in its
 * fastest memory. A profile is compared with these. */
#ifndef TLEP_CEILINGS_H
#define TLEP_CEILINGS_H

#include <stdint.h>

#include "model/arena.h"
#include "platform/error.h"

/* The longest stretch that is read at once: beyond every cache of a chip that we know, and some
 * milliseconds long. */
enum { TLEP_READ_MAX_BYTES = 256 * 1024 };

typedef struct {
    uint64_t first_ticks; /* cold, where the stretch is longer than the cache, or was never read */
    uint64_t again_ticks; /* warm, where it fits the cache */
} tlep_read_speed;

/* Read whole words from `from` twice; `bytes` is a multiple of 32. */
tlep_read_speed tlep_measure_read(const uint8_t *from, uint32_t bytes);

typedef struct {
    uint64_t ticks;
    uint64_t macs;
    uint64_t weight_bytes;
    uint32_t rows;  /* of the matrix, each of 512 */
    uint32_t arena; /* which had room for the data: they are listed fastest first */
} tlep_kernel_speed;

/* Multiply a matrix of weights of type `type` in the first arena with room, and leave the arenas as
 * they were. NO_MEMORY names what is needed and the largest piece free. */
int tlep_measure_kernel(tlep_kernel_speed *speed, uint32_t type, tlep_arena *arenas,
                        uint32_t n_arenas, tlep_error *err);

#endif
