#include "uart.h"

#include <stddef.h>

#include "platform/hal.h"
#include "irq.h"
#include "ring.h"

static uint8_t rx_bytes[TLEP_RX_RING], tx_bytes[TLEP_TX_RING];
static tlep_ring rx = TLEP_RING(rx_bytes);
static tlep_ring tx = TLEP_RING(tx_bytes);
static volatile uint32_t overruns;
static const tlep_uart_polling *polling; /* null where interrupts do it */

void tlep_uart_use_polling(const tlep_uart_polling *how)
{
    polling = how;
}

void tlep_uart_received(uint8_t byte)
{
    if (!tlep_ring_put(&rx, byte)) {
        overruns++;
    }
}

void tlep_uart_lost(void)
{
    overruns++;
}

void tlep_uart_pump(void)
{
    uint8_t byte;
    uint32_t masked = irq_mask(); /* both the main loop and the interrupt come here */
    while (uart_hw_tx_ready() && tlep_ring_get(&tx, &byte)) {
        uart_hw_tx(byte);
    }
    uart_hw_tx_interrupt(tlep_ring_used(&tx) != 0);
    irq_restore(masked);
}

bool tlep_uart_quiet(void)
{
    return tlep_ring_used(&rx) == 0;
}

uint32_t hal_uart_read(uint8_t *to, uint32_t n)
{
    uint32_t got = 0;
    if (polling != NULL) {
        polling->poll();
    }
    while (got < n && tlep_ring_get(&rx, &to[got])) {
        got++;
    }
    return got;
}

uint32_t hal_uart_rx_free(void)
{
    return tlep_ring_free(&rx);
}

uint32_t hal_uart_rx_overruns(void)
{
    return overruns;
}

bool hal_uart_write(const uint8_t *from, uint32_t n)
{
    if (tlep_ring_free(&tx) < n) {
        tlep_uart_pump();
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        (void)tlep_ring_put(&tx, from[i]);
    }
    tlep_uart_pump();
    return true;
}

__attribute__((weak)) void hal_hw_sleep(bool sleeping)
{
    (void)sleeping;
}

__attribute__((weak)) bool uart_hw_tx_done(void)
{
    return uart_hw_tx_ready();
}

void hal_uart_drain(void)
{
    while (tlep_ring_used(&tx) != 0 || !uart_hw_tx_done()) {
        tlep_uart_pump();
    }
}

void hal_idle(void)
{
    /* Masked, so that a byte between the look and the sleep wakes the core instead of being slept
     * on. */
    uint32_t masked = irq_mask();
    if (tlep_uart_quiet()) {
        hal_hw_sleep(true);
        if (polling != NULL) {
            polling->sleep();
        } else {
            irq_wait();
        }
        hal_hw_sleep(false);
    }
    irq_restore(masked);
}
