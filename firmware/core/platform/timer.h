/* Time in microseconds, from the port's ticks. */
#ifndef TLEP_TIMER_H
#define TLEP_TIMER_H

#include <stdint.h>

#include "platform/hal.h"

void tlep_timer_init(const tlep_board *board);

/* Microseconds since start. */
uint64_t tlep_time_us(void);

/* Begin a timed window once all bytes have left (their interrupts would be timed too) and the
 * counter has just moved; returns hal_ticks(). Inline, since its return would be timed. */
static inline uint64_t tlep_begin_window(void)
{
    hal_uart_drain();
    hal_align();
    return hal_ticks();
}

/* Ticks of hal_ticks() in a second. */
uint32_t tlep_tick_hz(void);

/* A span of ticks as microseconds, rounded to nearest: spans are subtracted before they are
 * rounded, so that equal spans stay equal wherever they begin. */
uint64_t tlep_ticks_us(uint64_t ticks);

#endif
