/* Interrupts and sleep on Xtensa: ours are of level 1. */
#ifndef TLEP_IRQ_H
#define TLEP_IRQ_H

#include <stdint.h>

static inline uint32_t irq_mask(void)
{
    uint32_t before;
    __asm volatile("rsil %0, 1" : "=r"(before)::"memory");
    return before;
}

static inline void irq_restore(uint32_t before)
{
    __asm volatile("wsr %0, ps\n rsync" ::"r"(before) : "memory");
}

/* Unmasks and sleeps in one instruction: what came before wakes it, and its interrupt runs first. */
static inline void irq_wait(void)
{
    __asm volatile("waiti 0" ::: "memory");
}

#endif
