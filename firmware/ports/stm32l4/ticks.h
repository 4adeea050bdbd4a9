/* The clock of record: TIM2 at the core's rate; under QEMU, which has no TIM2, SysTick at an eighth
 * of it. hal_ticks(), hal_align() and hal_hw_sleep() are here. */
#ifndef TLEP_TICKS_H
#define TLEP_TICKS_H

#include <stdbool.h>
#include <stdint.h>

/* Start TIM2 or SysTick; returns the rate. */
uint32_t ticks_start(bool tim2, uint32_t core_hz);

void ticks_handler(void); /* of both timers' interrupts */

#endif
