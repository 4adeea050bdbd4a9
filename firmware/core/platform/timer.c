#include "platform/timer.h"

#include "platform/fault.h"

static uint32_t timer_hz = 1000000;

void tlep_timer_init(const tlep_board *board)
{
    timer_hz = board->timer_hz;
}

uint64_t tlep_ticks_us(uint64_t ticks)
{
    /* seconds apart, so that the product stays inside 64 bits for centuries */
    uint64_t seconds = ticks / timer_hz, rest = ticks % timer_hz;
    return seconds * 1000000U + (rest * 1000000U + timer_hz / 2) / timer_hz;
}

uint32_t tlep_tick_hz(void)
{
    return timer_hz;
}

uint64_t tlep_time_us(void)
{
    return tlep_fault_time(tlep_ticks_us(hal_ticks()));
}
