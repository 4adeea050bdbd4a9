/* A vernier, for a clock of record that ticks slower than the core computes and counts down: the
 * same work measures a tick more or less by where in a tick it starts.
 *
 * A turn of this loop takes 7 + `nops` instructions, which are `turn` ticks and a bit, where the
 * bit is the finest step that instructions can make against ticks. So the counter moves by `turn` from
 * look to look, until the bits add up to a tick. Then it moves by one more, the loop stops, and it
 * has always stopped at the same place in a tick.
 *
 * That holds under an instruction clock. On silicon, where instructions differ in length, the count
 * of tries ends the loop within microseconds. */
#ifndef TLEP_VERNIER_H
#define TLEP_VERNIER_H

#include "cortex_m.h"

static inline __attribute__((always_inline)) void tlep_vernier(uint32_t counter, int nops, int turn)
{
    uint32_t tries = 64, before = REG32(counter), now, moved;
    __asm volatile("1: ldr %1, [%4]\n"
                   "   sub %2, %0, %1\n"
                   "   mov %0, %1\n"
                   "   cmp %2, %6\n"
                   "   it ne\n"
                   "   subsne %3, %3, #1\n"
                   "   .rept %c5\n"
                   "   nop\n"
                   "   .endr\n"
                   "   bne 1b\n"
                   : "+r"(before), "=&r"(now), "=&r"(moved), "+r"(tries)
                   : "r"(counter), "i"(nops), "i"(turn + 1)
                   : "cc", "memory");
}

#endif
