/* The clock tree: from the board's crystal to the chip's full speed. */
#ifndef TLEP_CLOCKS_H
#define TLEP_CLOCKS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint32_t core_hz;
    uint32_t apb1_hz, apb2_hz; /* what the UARTs divide */
    uint32_t timer_hz;         /* of the timers on APB1 */
} tlep_clocks;

/* Start crystal and PLL; false, and the internal 16 MHz everywhere, where one of them does not
 * come. */
bool clocks_start(tlep_clocks *clocks);

#endif
