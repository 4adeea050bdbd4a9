/* The half of the HAL's UART that is the same on every chip: two rings and the rules around them.
 *
 * A port implements the uart_hw_* functions, and calls tlep_uart_received() and
 * tlep_uart_pump() from its interrupt. */
#ifndef TLEP_UART_H
#define TLEP_UART_H

#include <stdbool.h>
#include <stdint.h>

/* TLEP_RX_WINDOW is the credit of an upload; the ring has room for a request beyond it. A test of
 * what a full ring does makes it smaller. */
#ifndef TLEP_RX_RING
#define TLEP_RX_RING 4096
#endif
enum { TLEP_RX_WINDOW = 2816, TLEP_TX_RING = 2048 };

/* Whether the transmitter takes a byte now; hand it one; turn its "ready" interrupt on or off. */
bool uart_hw_tx_ready(void);
void uart_hw_tx(uint8_t byte);
void uart_hw_tx_interrupt(bool on);

/* Whether the last bit has left. By default that is when the transmitter takes a byte: a port whose
 * transmitter has a FIFO or a shift register behind the register it looks at defines its own. */
bool uart_hw_tx_done(void);

/* Around each sleep: arm, and disarm, whatever else must wake the core; by default nothing. */
void hal_hw_sleep(bool sleeping);

/* From the receive interrupt: a byte has come. */
void tlep_uart_received(uint8_t byte);

/* From the receive interrupt: the chip says that it has dropped a byte. */
void tlep_uart_lost(void);

/* Move what the transmitter takes from the ring to the wire; from the transmit interrupt and the
 * main loop. */
void tlep_uart_pump(void);

/* Nothing received waits to be read: with interrupts masked, the moment to sleep. */
bool tlep_uart_quiet(void);

/* How an emulator without a receive interrupt is served. `poll` does what the interrupt would:
 * tlep_uart_received() for each byte while hal_uart_rx_free() says so, then tlep_uart_pump().
 * `sleep` is called instead of a wait for an interrupt. On silicon nobody asks for this. */
typedef struct {
    void (*poll)(void);
    void (*sleep)(void);
} tlep_uart_polling;

void tlep_uart_use_polling(const tlep_uart_polling *polling);

#endif
