#include "mps2.h"

#include "clock.h"
#include "cortex_m.h"
#include "identity.h"
#include "mps2_image.h"
#include "uart.h"
#include "vernier.h"

enum { DEFAULT_BAUD = 115200 };
enum {
    STATE_TX_FULL = 1,
    STATE_RX_FULL = 2,
    CTRL_ON = 0x0B /* TXEN RXEN RXINTEN */,
    CTRL_TX_INT = 4
};

static const uint32_t bauds[] = {115200, 230400, 460800, 921600, 0};
static tlep_board board;
static tlep_clock clock;
static uint32_t boot_seed;
static uint32_t boots __attribute__((section(".noinit")));

/* Not here: an LED, which hangs on the FPGA image's SCC and could not be checked without one; a
 * temperature sensor, which the core cannot read. */
tlep_board *mps2_init(void)
{
    bool counts = tlep_cycle_counter_start();
    bool labelled = tlep_identity_read(MPS2_IDENTITY, &board, &boot_seed);
    REG32(MPS2_TIMER0 + 0x04) = 0xFFFFFFFF;
    REG32(MPS2_TIMER0 + 0x08) = 0xFFFFFFFF;
    REG32(MPS2_TIMER0) = 1;
    clock.last = ~REG32(MPS2_TIMER0 + 0x04);
    boots++;
    board.platform = MPS2_PLATFORM;
    board.toolchain = "arm-none-eabi-gcc " __VERSION__;
    board.timer_name = "CMSDK timer0";
    board.timer_hz = MPS2_CLOCK_HZ;
    board.clock_hz = MPS2_CLOCK_HZ;
    board.bauds = bauds;
    board.rx_window = TLEP_RX_WINDOW;
    board.emulated = labelled || !counts;
    board.cycle_counter = counts;
    (void)hal_uart_set_baud(DEFAULT_BAUD);
    REG32(MPS2_UART0 + 0x08) = CTRL_ON;
    return &board;
}

uint64_t hal_ticks(void)
{
    return tlep_clock_ticks(&clock, ~REG32(MPS2_TIMER0 + 0x04)); /* the timer counts down */
}

/* An instruction takes 32 ns under QEMU. At 25 MHz a tick is 40 ns, and 9 instructions are 7 ticks
 * and 8 ns; at 20 MHz it is 50 ns, and 11 instructions are 7 ticks and 2 ns. */
void hal_align(void)
{
    tlep_vernier(MPS2_TIMER0 + 0x04, MPS2_ALIGN_NOPS, 7);
}

/* The counter wraps within four minutes: asleep, its interrupt wakes the core to take note; awake,
 * every look does. */
void hal_hw_sleep(bool sleeping)
{
    REG32(MPS2_TIMER0 + 0x0C) = 1;
    REG32(MPS2_TIMER0) = sleeping ? 9 : 1;
    (void)hal_ticks();
}

void mps2_timer0_handler(void)
{
    REG32(MPS2_TIMER0 + 0x0C) = 1;
}

uint32_t hal_boot_id(void)
{
    return tlep_boot_id(boot_seed, boots);
}

bool hal_uart_set_baud(uint32_t baud)
{
    REG32(MPS2_UART0 + 0x10) = MPS2_CLOCK_HZ / baud;
    return true;
}

bool uart_hw_tx_ready(void)
{
    return (REG32(MPS2_UART0 + 0x04) & STATE_TX_FULL) == 0;
}

void uart_hw_tx(uint8_t byte)
{
    REG32(MPS2_UART0) = byte;
}

void uart_hw_tx_interrupt(bool on)
{
    REG32(MPS2_UART0 + 0x08) = on ? CTRL_ON | CTRL_TX_INT : CTRL_ON;
}

void mps2_uart0_handler(void)
{
    REG32(MPS2_UART0 + 0x0C) = 3; /* clear both before looking: later ones raise them again */
    while ((REG32(MPS2_UART0 + 0x04) & STATE_RX_FULL) != 0) {
        tlep_uart_received((uint8_t)REG32(MPS2_UART0));
    }
    tlep_uart_pump();
}
