/* What Arm's MPS2 boards have in common, whatever core their FPGA image has: CMSDK UART0 as the
 * link, CMSDK timer 0 as the clock of record, both at the image's one clock.
 *
 * A port describes its image in a header of its own, mps2_image.h:
 *     MPS2_PLATFORM, MPS2_UART0, MPS2_TIMER0    addresses as the core reaches them
 *     MPS2_IDENTITY                             where an emulated board's identity lies
 *     MPS2_CLOCK_HZ
 *     MPS2_ALIGN_NOPS                           of hal_align (mps2.c)
 */
#ifndef TLEP_MPS2_H
#define TLEP_MPS2_H

#include "platform/hal.h"

/* Start timer and UART, and describe all of the board but its memory. The interrupts are enabled by
 * the port, which knows their numbers. */
tlep_board *mps2_init(void);

void mps2_uart0_handler(void); /* of the receive interrupt and of the transmit interrupt */
void mps2_timer0_handler(void);

#endif
