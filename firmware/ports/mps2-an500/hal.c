/* Arm MPS2+ FPGA board with AN500 (Cortex-M7 at 25 MHz), as QEMU's mps2-an500: CMSDK UART0 and
 * timer 0. */
#include "platform/hal.h"

#include "clock.h"
#include "cortex_m.h"
#include "identity.h"
#include "irq.h"
#include "uart.h"

#define UART0 0x40004000U
#define TIMER0 0x40000000U
#define IDENTITY 0x203FFFE0U
#define PSRAM_BASE 0x60000000U
#define SLOT_BASE 0x60800000U

enum {
    CLOCK_HZ = 25000000,
    PSRAM_BYTES = 16 * 1024 * 1024,
    IRQ_UART0_RX = 0,
    IRQ_UART0_TX = 1,
    IRQ_TIMER0 = 8,
    DEFAULT_BAUD = 115200,
};
enum {
    STATE_TX_FULL = 1,
    STATE_RX_FULL = 2,
    CTRL_ON = 0x0B /* TXEN RXEN RXINTEN */,
    CTRL_TX_INT = 4
};

extern uint8_t link_models_start[], link_models_end[];

static const uint32_t bauds[] = {115200, 230400, 460800, 921600, 0};
static tlep_board board;
static tlep_clock clock;
static uint32_t boot_seed;
static uint32_t boots __attribute__((section(".noinit")));

const tlep_board *hal_init(void)
{
    bool counts = tlep_cycle_counter_start();
    bool labelled = tlep_identity_read(IDENTITY, &board, &boot_seed);
    REG32(TIMER0 + 0x04) = 0xFFFFFFFF;
    REG32(TIMER0 + 0x08) = 0xFFFFFFFF;
    REG32(TIMER0) = 1;
    clock.last = ~REG32(TIMER0 + 0x04);
    boots++;
    board.platform = "mps2-an500";
    board.toolchain = "arm-none-eabi-gcc " __VERSION__;
    board.timer_name = "CMSDK timer0";
    board.timer_hz = CLOCK_HZ;
    board.clock_hz = CLOCK_HZ;
    board.bauds = bauds;
    board.rx_window = TLEP_RX_WINDOW;
    board.emulated = labelled || !counts;
    board.cycle_counter = counts;
    board.n_regions = 3;
    board.regions[0] = (tlep_region){.name = "ssram",
                                     .kind = TLEP_REGION_RAM,
                                     .base = link_models_start,
                                     .size = (uint32_t)(link_models_end - link_models_start),
                                     .total = 4 * 1024 * 1024};
    board.regions[1] = (tlep_region){.name = "psram",
                                     .kind = TLEP_REGION_RAM,
                                     .base = (uint8_t *)PSRAM_BASE,
                                     .size = SLOT_BASE - PSRAM_BASE,
                                     .total = SLOT_BASE - PSRAM_BASE};
    board.regions[2] = (tlep_region){.name = "psram-slot",
                                     .kind = TLEP_REGION_FLASH,
                                     .base = (uint8_t *)SLOT_BASE,
                                     .size = PSRAM_BASE + PSRAM_BYTES - SLOT_BASE,
                                     .total = PSRAM_BASE + PSRAM_BYTES - SLOT_BASE};
    (void)hal_uart_set_baud(DEFAULT_BAUD);
    REG32(UART0 + 0x08) = CTRL_ON;
    tlep_irq_enable(IRQ_UART0_RX);
    tlep_irq_enable(IRQ_UART0_TX);
    tlep_irq_enable(IRQ_TIMER0);
    return &board;
}

uint64_t hal_ticks(void)
{
    return tlep_clock_ticks(&clock, ~REG32(TIMER0 + 0x04)); /* the timer counts down */
}

/* A vernier. Under QEMU's instruction clock (32 ns) the timer's tick (40 ns) has five phases, so
 * the same work measures a tick more or less by where it starts. One turn of this loop takes 7.2
 * ticks (9 instructions): from look to look the phase moves by one fifth, and the counter by 7.
 * Where the phase comes round to zero, the counter moves by 8, and the loop stops. (On silicon,
 * where instructions differ in length, the count of tries ends it within microseconds.) */
void hal_align(void)
{
    uint32_t tries = 16, before = REG32(TIMER0 + 0x04), now, moved;
    __asm volatile("1: ldr %1, [%4]\n"
                   "   sub %2, %0, %1\n"
                   "   mov %0, %1\n"
                   "   cmp %2, #8\n"
                   "   it ne\n"
                   "   subsne %3, %3, #1\n"
                   "   nop\n"
                   "   nop\n"
                   "   bne 1b\n"
                   : "+r"(before), "=&r"(now), "=&r"(moved), "+r"(tries)
                   : "r"(TIMER0 + 0x04)
                   : "cc", "memory");
}

/* The counter wraps within three minutes: asleep, its interrupt wakes the core to take note; awake,
 * every look does. */
void hal_hw_sleep(bool sleeping)
{
    REG32(TIMER0 + 0x0C) = 1;
    REG32(TIMER0) = sleeping ? 9 : 1;
    (void)hal_ticks();
}

static void timer0_handler(void)
{
    REG32(TIMER0 + 0x0C) = 1;
}

uint32_t hal_boot_id(void)
{
    return boot_seed ^ boots * 2654435761U;
}

bool hal_uart_set_baud(uint32_t baud)
{
    REG32(UART0 + 0x10) = CLOCK_HZ / baud;
    return true;
}

/* The board's LEDs hang on its FPGA image's SCC, which we could not check without one. */
void hal_led(bool on)
{
    (void)on;
}

bool hal_temperature(uint32_t index, const char **location, int32_t *millidegrees)
{
    (void)index;
    (void)location;
    (void)millidegrees;
    return false; /* the board has no sensor that the core can read */
}

bool uart_hw_tx_ready(void)
{
    return (REG32(UART0 + 0x04) & STATE_TX_FULL) == 0;
}

void uart_hw_tx(uint8_t byte)
{
    REG32(UART0) = byte;
}

void uart_hw_tx_interrupt(bool on)
{
    REG32(UART0 + 0x08) = on ? CTRL_ON | CTRL_TX_INT : CTRL_ON;
}

static void uart0_handler(void)
{
    REG32(UART0 + 0x0C) = 3; /* clear both before looking: what comes later raises them again */
    while ((REG32(UART0 + 0x04) & STATE_RX_FULL) != 0) {
        tlep_uart_received((uint8_t)REG32(UART0));
    }
    tlep_uart_pump();
}

extern uint32_t link_stack_high[];
__attribute__((section(".vectors"), used)) vector *const tlep_vectors[16 + IRQ_TIMER0 + 1] = {
    [0] = (vector *)link_stack_high,
    [1] = tlep_reset_handler,
    [2 ... 15] = tlep_fault_handler,
    [16 + IRQ_UART0_RX] = uart0_handler,
    [16 + IRQ_UART0_TX] = uart0_handler,
    [16 + IRQ_UART0_TX + 1 ... 16 + IRQ_TIMER0 - 1] = tlep_fault_handler,
    [16 + IRQ_TIMER0] = timer0_handler,
};
