/* A free-running 32-bit up-counter made into 64-bit microseconds. Read at least once a wrap. */
#ifndef TLEP_CLOCK_H
#define TLEP_CLOCK_H

#include <stdint.h>

typedef struct {
    uint32_t last;
    uint64_t ticks;
} tlep_clock;

static inline uint64_t tlep_clock_ticks(tlep_clock *c, uint32_t counter)
{
    c->ticks += (uint32_t)(counter - c->last); /* modular: right across a wrap */
    c->last = counter;
    return c->ticks;
}

#endif
