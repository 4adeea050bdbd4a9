#include "xtensa.h"

#include "platform/hal.h"

extern uint32_t link_stack_low[], link_stack_high[];

static uint32_t enabled(void)
{
    uint32_t mask;
    __asm volatile("rsr %0, intenable" : "=r"(mask));
    return mask;
}

static void enable(uint32_t mask)
{
    __asm volatile("wsr %0, intenable\n rsync" ::"r"(mask) : "memory");
}

void xtensa_interrupt_enable(uint32_t number)
{
    enable(enabled() | 1U << number);
}

void xtensa_interrupt_disable(uint32_t number)
{
    enable(enabled() & ~(1U << number));
}

void xtensa_alarm(uint32_t cycles)
{
    /* writing it takes back an alarm that is due */
    __asm volatile("wsr %0, ccompare0\n esync" ::"r"(xtensa_ccount() + cycles) : "memory");
    xtensa_interrupt_enable(XTENSA_TIMER0);
}

void xtensa_alarm_cancel(void)
{
    xtensa_interrupt_disable(XTENSA_TIMER0);
}

void hal_stack(uintptr_t *low, uintptr_t *high)
{
    *low = (uintptr_t)link_stack_low;
    *high = (uintptr_t)link_stack_high;
}
