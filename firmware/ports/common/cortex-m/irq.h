/* Interrupts and sleep on Cortex-M. */
#ifndef TLEP_IRQ_H
#define TLEP_IRQ_H

#include <stdint.h>

static inline uint32_t irq_mask(void)
{
    uint32_t primask;
    __asm volatile("mrs %0, primask\n cpsid i" : "=r"(primask)::"memory");
    return primask;
}

static inline void irq_restore(uint32_t primask)
{
    __asm volatile("msr primask, %0" ::"r"(primask) : "memory");
}

/* WFI wakes on a pending interrupt even while masked. */
static inline void irq_wait(void)
{
    __asm volatile("dsb\n wfi" ::: "memory");
}

#endif
