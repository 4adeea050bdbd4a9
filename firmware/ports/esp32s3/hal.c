/* ESP32-S3 as labwired emulates it: UART0, polled, and CCOUNT, which counts instructions there. It
 * proves the core's code on the S3's addresses. It is no firmware for silicon: that needs clocks,
 * watchdogs, interrupts and the cache, which ESP-IDF brings. */
#include "platform/hal.h"

#include "bridge.h"
#include "clock.h"
#include "identity.h"
#include "regions.h"
#include "uart.h"
#include "xtensa.h"

#define UART0 0x60000000U
#define RTC_CNTL 0x60008000U
#define IDENTITY 0x3FCEBFE0U
/* beside the identity: RAM that a restart leaves alone */
#define BOOTS (*(volatile uint32_t *)(IDENTITY + 28))
#define SLOT_BASE 0x3C100000U

enum { CLOCK_HZ = 240000000, SLOT_BYTES = 3 * 1024 * 1024, SRAM_BYTES = 512 * 1024 };
enum { FIFO_BYTES = 128 };

static tlep_board board;
static tlep_clock clock;
static uint32_t boot_seed;

static uint32_t received(void)
{
    return REG32(UART0 + 0x1C) & 0x3FF;
}

static uint32_t to_be_sent(void)
{
    return REG32(UART0 + 0x1C) >> 16 & 0x3FF;
}

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

const tlep_board *hal_init(void)
{
    static const tlep_uart_polling polling = {.poll = poll, .sleep = sleep};
    while (!tlep_identity_read(IDENTITY, &board, &boot_seed)) {
        /* on silicon: it has no interrupts, and would lose what comes while it computes */
    }
    BOOTS++;
    clock.last = xtensa_ccount();
    board.platform = "esp32s3";
    board.toolchain = "clang " __clang_version__;
    board.timer_name = "CCOUNT";
    board.timer_hz = CLOCK_HZ;
    board.clock_hz = CLOCK_HZ;
    board.cycle_counter = true;
    board.rx_window = TLEP_RX_WINDOW;
    board.emulated = true;
    board.n_regions = 2;
    board.regions[0] = tlep_models_region("sram", SRAM_BYTES);
    board.regions[1] = tlep_slot_region("flash", SLOT_BASE, SLOT_BYTES, SLOT_BYTES);
    REG32(UART0 + 0x14) = 1; /* the fastest */
    tlep_uart_use_polling(&polling);
    return &board;
}

/* What was computed, and what was slept through. */
uint64_t hal_ticks(void)
{
    return tlep_clock_ticks(&clock, xtensa_ccount()) +
           (uint64_t)tlep_bridge_at(IDENTITY)->slept_ms * (CLOCK_HZ / 1000);
}

uint32_t hal_boot_id(void)
{
    return tlep_boot_id(boot_seed, BOOTS);
}

bool hal_uart_set_baud(uint32_t baud)
{
    (void)baud;
    return false;
}

void hal_reset(void)
{
    REG32(RTC_CNTL) |= 1U << 31; /* the whole digital part, as at power-on */
    for (;;) {
    }
}

bool uart_hw_tx_ready(void)
{
    return to_be_sent() < FIFO_BYTES - 2;
}

void uart_hw_tx(uint8_t byte)
{
    REG32(UART0) = byte;
}

void uart_hw_tx_interrupt(bool on)
{
    (void)on;
}

void tlep_interrupt(void)
{
}
