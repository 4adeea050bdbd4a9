/* TIM2, which has 32 bits in all families of ours, as the clock of record. The family's header,
 * family.h, says where its clock is switched on: TIM2_CLOCK, a register of RCC, in bit 0. */
#ifndef TLEP_TIM2_H
#define TLEP_TIM2_H

#include <stdbool.h>
#include <stdint.h>

#include "family.h"

#define TIM2 0x40000000U
#define TIM2_STATUS (TIM2 + 0x10)
enum { IRQ_TIM2 = 28 };

static inline void tim2_start(uint32_t divider)
{
    REG32(TIM2_CLOCK) |= 1U;
    REG32(TIM2 + 0x28) = divider - 1;
    REG32(TIM2 + 0x2C) = 0xFFFFFFFF;
    REG32(TIM2 + 0x14) = 1; /* UG: take them now */
    REG32(TIM2_STATUS) = 0; /* which counts as an overflow */
    REG32(TIM2) = 1;
    tlep_irq_enable(IRQ_TIM2);
}

static inline uint32_t tim2_count(void)
{
    return REG32(TIM2 + 0x24);
}

/* The counter wraps within a minute: asleep, its overflow wakes the core, whose next look takes
 * note; awake, every look does. */
static inline void tim2_wake(bool sleeping)
{
    REG32(TIM2_STATUS) = 0;
    REG32(TIM2 + 0x0C) = sleeping ? 1 : 0;
}

static inline void tim2_woke(void)
{
    REG32(TIM2_STATUS) = 0;
}

#endif
