/* Interrupts, faults and sleep on RISC-V, machine mode. */
#ifndef TLEP_IRQ_H
#define TLEP_IRQ_H

#include <stdint.h>

enum { MSTATUS_MIE = 8 };

/* A port has one interrupt handler; a fault's is shared (fault.c). */
void tlep_interrupt_handler(void) __attribute__((interrupt("machine"), aligned(4)));
void tlep_fault_handler(void) __attribute__((aligned(4)));

static inline uint32_t irq_mask(void)
{
    uint32_t before;
    __asm volatile("csrrci %0, mstatus, 8" : "=r"(before)::"memory");
    return before & MSTATUS_MIE;
}

static inline void irq_restore(uint32_t before)
{
    __asm volatile("csrs mstatus, %0" ::"r"(before) : "memory");
}

/* WFI wakes on a pending interrupt even while masked. */
static inline void irq_wait(void)
{
    __asm volatile("wfi" ::: "memory");
}

#endif
