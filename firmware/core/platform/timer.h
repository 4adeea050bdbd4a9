/* Time in microseconds, from the port's ticks. */
#ifndef TLEP_TIMER_H
#define TLEP_TIMER_H

#include <stdint.h>

#include "platform/hal.h"

void tlep_timer_init(const tlep_board *board);

/* Microseconds since start. */
uint64_t tlep_time_us(void);

/* A span of ticks as microseconds, rounded to nearest: spans are subtracted before they are
 * rounded, so that equal spans stay equal wherever they begin. */
uint64_t tlep_ticks_us(uint64_t ticks);

#endif
