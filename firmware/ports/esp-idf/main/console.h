/* The line to the host. */
#ifndef TLEP_CONSOLE_H
#define TLEP_CONSOLE_H

#include <stdint.h>

/* The rates of the UART, first the one it comes up at; ended by 0. */
extern const uint32_t console_bauds[];

/* To be called on the core that is to take the line's interrupts. */
void console_start(void);

#endif
