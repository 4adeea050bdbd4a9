/* QEMU's model of Cadence's LX60 board with an LX7 core that has windows and FPU (de233_fpu): the
 * stand-in for the cores of the ESP32 and the ESP32-S3. 16550 UART, CCOUNT as the clock. */
#include "platform/hal.h"

#include "clock.h"
#include "identity.h"
#include "irq.h"
#include "regions.h"
#include "uart.h"
#include "xtensa.h"

#define FPGA 0xFD020000U
#define UART 0xFD050020U
#define IDENTITY 0x007FFFE0U
/* beside the identity: RAM that no image loads over */
#define BOOTS (*(volatile uint32_t *)(IDENTITY + 28))
#define SLOT_BASE 0x00800000U

enum { RAM_BYTES = 16 * 1024 * 1024, IRQ_UART = 0, ALARM_CYCLES = 10000000 };
enum { UART_DATA = 0, UART_IER = 4, UART_FCR = 8, UART_LCR = 12, UART_MCR = 16, UART_LSR = 20 };
enum { IER_RX = 1, IER_TX = 2, LSR_RX_READY = 1, LSR_TX_EMPTY = 0x20, LCR_DIVISOR = 0x80 };

static tlep_board board;
static tlep_clock clock;
static uint32_t boot_seed;

static void start_uart(void)
{
    REG32(UART + UART_LCR) = LCR_DIVISOR | 3;
    REG32(UART + UART_DATA) = 1; /* its fastest: a burst that ends early is handed over sooner */
    REG32(UART + UART_IER) = 0;
    REG32(UART + UART_LCR) = 3;
    REG32(UART + UART_FCR) = 0xC1; /* FIFOs on, trigger at 14 */
    REG32(UART + UART_MCR) = 0x08; /* OUT2 lets the interrupt out */
    REG32(UART + UART_IER) = IER_RX;
    xtensa_interrupt_enable(IRQ_UART);
}

const tlep_board *hal_init(void)
{
    (void)tlep_identity_read(IDENTITY, &board, &boot_seed);
    BOOTS++;
    clock.last = xtensa_ccount();
    board.platform = "xtensa-lx60";
    board.toolchain = "clang " __clang_version__;
    board.timer_name = "CCOUNT";
    board.clock_hz = REG32(FPGA + 4);
    board.timer_hz = board.clock_hz;
    board.cycle_counter = true;
    board.rx_window = TLEP_RX_WINDOW;
    board.emulated = true; /* this core on that board exists nowhere but in QEMU */
    board.n_regions = 2;
    board.regions[0] = tlep_models_region("ram", SLOT_BASE);
    board.regions[1] = tlep_slot_region("ram-slot", SLOT_BASE, RAM_BYTES - SLOT_BASE,
                                        RAM_BYTES - SLOT_BASE);
    start_uart();
    irq_restore(irq_mask() & ~0xFU);
    return &board;
}

uint64_t hal_ticks(void)
{
    return tlep_clock_ticks(&clock, xtensa_ccount());
}

/* A vernier. Under QEMU's instruction clock (4 ns) a cycle (100 ns) has 25 phases, so the same work
 * measures a tick more or less by where it starts. One turn of this loop takes 24 instructions: from
 * look to look the phase moves back by one, and the counter on by 1. Where the phase comes round,
 * the counter stands still, and the loop stops. */
void hal_align(void)
{
    uint32_t tries = 32, before = xtensa_ccount(), now, moved;
    __asm volatile("1: rsr %1, ccount\n"
                   "   sub %2, %1, %0\n"
                   "   mov %0, %1\n"
                   "   addi %3, %3, -1\n"
                   "   beqz %3, 2f\n"
                   "   .rept 18\n"
                   "   nop\n"
                   "   .endr\n"
                   "   bnez %2, 1b\n"
                   "2:\n"
                   : "+r"(before), "=&r"(now), "=&r"(moved), "+r"(tries)
                   :
                   : "memory");
}

/* QEMU's instruction clock stands still while nothing is due, so a sleep is given an end. */
void hal_hw_sleep(bool sleeping)
{
    if (sleeping) {
        xtensa_alarm(ALARM_CYCLES);
    } else {
        xtensa_alarm_cancel();
    }
    (void)hal_ticks(); /* the counter wraps in seven minutes */
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
    REG32(FPGA + 0x10) = 0xDEAD;
    for (;;) {
    }
}

bool uart_hw_tx_ready(void)
{
    return (REG32(UART + UART_LSR) & LSR_TX_EMPTY) != 0;
}

void uart_hw_tx(uint8_t byte)
{
    REG32(UART + UART_DATA) = byte;
}

void uart_hw_tx_interrupt(bool on)
{
    REG32(UART + UART_IER) = on ? IER_RX | IER_TX : IER_RX;
}

void tlep_interrupt(void)
{
    while ((REG32(UART + UART_LSR) & LSR_RX_READY) != 0) {
        tlep_uart_received((uint8_t)REG32(UART + UART_DATA));
    }
    (void)REG32(UART + UART_FCR); /* IIR: reading it takes back the transmitter's interrupt */
    tlep_uart_pump();
    xtensa_alarm_cancel(); /* an alarm has done its work by waking the core */
}
