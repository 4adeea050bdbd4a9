/* A single-producer, single-consumer byte ring between an interrupt and the main loop: no locks,
 * because each index has one writer. Holds SIZE - 1 bytes; SIZE is a power of two. */
#ifndef TLEP_RING_H
#define TLEP_RING_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint8_t *bytes;
    uint32_t mask; /* SIZE - 1 */
    volatile uint32_t head; /* next to write; the producer's */
    volatile uint32_t tail; /* next to read; the consumer's */
} tlep_ring;

#define TLEP_RING(storage) {.bytes = (storage), .mask = sizeof(storage) - 1, .head = 0, .tail = 0}

static inline uint32_t tlep_ring_used(const tlep_ring *r)
{
    return (r->head - r->tail) & r->mask;
}

static inline uint32_t tlep_ring_free(const tlep_ring *r)
{
    return r->mask - tlep_ring_used(r);
}

static inline bool tlep_ring_put(tlep_ring *r, uint8_t byte)
{
    uint32_t next = (r->head + 1) & r->mask;
    if (next == r->tail) {
        return false;
    }
    r->bytes[r->head] = byte;
    r->head = next;
    return true;
}

static inline bool tlep_ring_get(tlep_ring *r, uint8_t *byte)
{
    if (r->tail == r->head) {
        return false;
    }
    *byte = r->bytes[r->tail];
    r->tail = (r->tail + 1) & r->mask;
    return true;
}

#endif
