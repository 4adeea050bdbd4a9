/* The parts that every Xtensa port needs: registers, interrupts, the cycle counter's alarm. */
#ifndef TLEP_XTENSA_H
#define TLEP_XTENSA_H

#include <stdint.h>

#define REG32(address) (*(volatile uint32_t *)(uintptr_t)(address))

/* The interrupt of CCOMPARE0, on the cores that we know. */
enum { XTENSA_TIMER0 = 6 };

/* A port's: called, masked, for each interrupt of level 1. */
void tlep_interrupt(void);

static inline uint32_t xtensa_ccount(void)
{
    uint32_t cycles;
    __asm volatile("rsr %0, ccount" : "=r"(cycles)::"memory");
    return cycles;
}

/* Enable or disable interrupt `number`; to be called masked. */
void xtensa_interrupt_enable(uint32_t number);
void xtensa_interrupt_disable(uint32_t number);

/* Wake the core after `cycles`: takes note of it, and of nothing else, until it is cancelled. */
void xtensa_alarm(uint32_t cycles);
void xtensa_alarm_cancel(void);

#endif
