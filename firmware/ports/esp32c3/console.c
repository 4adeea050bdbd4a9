/* UART0 on GPIO20 and GPIO21, the pins that the ROM has set up, and the chip's own USB serial port:
 * both are listened to, and answered is the one that spoke last. */
#include "chip.h"

#include "bridge.h"
#include "irq.h"
#include "platform/hal.h"
#include "uart.h"

enum {
    SOURCE_UART0 = 21, /* of the interrupt matrix */
    SOURCE_USB = 26,
    LINE = 5, /* one of the core's 31 */
    RX_FULL = 1 << 0, /* UART0's interrupts */
    TX_EMPTY = 1 << 1,
    RX_TIMEOUT = 1 << 8,
    RX_FULL_AT = 64,
    TX_EMPTY_AT = 32,
    FIFO_BYTES = 128,
    USB_RECEIVED = 1 << 2, /* USB's interrupts */
    USB_SENT = 1 << 3,
    USB_FLUSH = 1 << 0, /* its control register */
    USB_HAS_ROOM = 1 << 1,
    USB_HAS_BYTE = 1 << 2,
    FLUSH_TRIES = 10000000,
};

const uint32_t esp32c3_bauds[] = {115200, 230400, 460800, 921600, 1500000, 2000000, 0};
static bool answer_by_usb;

static uint32_t received(void)
{
    return REG32(UART0 + 0x1C) & 0x3FF;
}

static uint32_t to_be_sent(void)
{
    return REG32(UART0 + 0x1C) >> 16 & 0x3FF;
}

void tlep_interrupt_handler(void)
{
    while (received() != 0) {
        answer_by_usb = false;
        tlep_uart_received((uint8_t)REG32(UART0));
    }
    REG32(UART0 + 0x10) = RX_FULL | TX_EMPTY | RX_TIMEOUT;
    REG32(USB_DEVICE + 0x14) = USB_RECEIVED | USB_SENT;
    while ((REG32(USB_DEVICE + 0x04) & USB_HAS_BYTE) != 0) {
        answer_by_usb = true;
        tlep_uart_received((uint8_t)REG32(USB_DEVICE));
    }
    tlep_uart_pump();
}

void esp32c3_start_console(void)
{
    REG32(UART0 + 0x78) |= 3U << 20; /* clocked by the crystal */
    (void)hal_uart_set_baud(esp32c3_bauds[0]);
    REG32(UART0 + 0x24) = RX_FULL_AT | TX_EMPTY_AT << 9 | 1U << 21; /* and a timeout, 10 bits */
    REG32(UART0 + 0x0C) = RX_FULL | RX_TIMEOUT;
    REG32(USB_DEVICE + 0x10) = USB_RECEIVED;
    REG32(INTERRUPT_MATRIX + 4 * SOURCE_UART0) = LINE;
    REG32(INTERRUPT_MATRIX + 4 * SOURCE_USB) = LINE;
    REG32(INTERRUPT_MATRIX + 0x108) &= ~(1U << LINE); /* by level, not by edge */
    REG32(INTERRUPT_MATRIX + 0x114 + 4 * LINE) = 1;   /* its priority */
    REG32(INTERRUPT_MATRIX + 0x194) = 0;              /* what a priority must exceed */
    REG32(INTERRUPT_MATRIX + 0x104) |= 1U << LINE;
    __asm volatile("csrs mstatus, %0" ::"r"(MSTATUS_MIE));
}

/* --- under emulation: UART0, without interrupts and without a line rate --- */

static void poll(void)
{
    while (received() != 0 && hal_uart_rx_free() != 0) {
        tlep_uart_received((uint8_t)REG32(UART0));
    }
    tlep_uart_pump();
}

static void sleep(void)
{
    if (to_be_sent() == 0) {
        tlep_bridge_sleep(tlep_bridge_at(IDENTITY));
    }
}

void esp32c3_start_polled_console(void)
{
    static const tlep_uart_polling polling = {.poll = poll, .sleep = sleep};
    REG32(UART0 + 0x14) = 1; /* the fastest */
    tlep_uart_use_polling(&polling);
}

/* --- what common/uart.c and the core ask for --- */

bool hal_uart_set_baud(uint32_t baud)
{
    esp32c3_flush_console();
    REG32(UART0 + 0x14) = CRYSTAL_HZ / baud | CRYSTAL_HZ % baud * 16 / baud << 20;
    return true;
}

void esp32c3_flush_console(void)
{
    for (uint32_t i = 0; i < FLUSH_TRIES; i++) {
        bool idle = (REG32(UART0 + 0x6C) & 0xF0) == 0; /* the transmitter's state machine */
        if (to_be_sent() == 0 && idle) {
            return;
        }
    }
}

bool uart_hw_tx_ready(void)
{
    return answer_by_usb ? (REG32(USB_DEVICE + 0x04) & USB_HAS_ROOM) != 0
                         : to_be_sent() < FIFO_BYTES - 2;
}

void uart_hw_tx(uint8_t byte)
{
    REG32(answer_by_usb ? USB_DEVICE : UART0) = byte;
}

/* Called when there is nothing more to hand over, or no room for it. */
void uart_hw_tx_interrupt(bool on)
{
    if (answer_by_usb) {
        REG32(USB_DEVICE + 0x04) = USB_FLUSH;
        REG32(USB_DEVICE + 0x10) = on ? USB_RECEIVED | USB_SENT : USB_RECEIVED;
    }
    REG32(UART0 + 0x0C) = RX_FULL | RX_TIMEOUT | (on && !answer_by_usb ? TX_EMPTY : 0);
}
