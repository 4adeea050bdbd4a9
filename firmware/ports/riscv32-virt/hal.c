/* QEMU's riscv32 virt machine: 16550 UART, mcycle as the clock (virtual nanoseconds under the
 * instruction clock: mtime's 100 ns would blur equal work by a tick), PLIC for the one interrupt.
 *
 * The UART's receive FIFO triggers at 14 bytes, which lets QEMU hand over bursts: ten times the
 * upload rate of a byte an interrupt. */
#include "platform/hal.h"

#include "identity.h"
#include "irq.h"
#include "regions.h"
#include "uart.h"

#define REG8(address) (*(volatile uint8_t *)(uintptr_t)(address))
#define REG32(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define UART 0x10000000U
#define PLIC 0x0C000000U
#define MTIMECMP 0x02004000U
#define MTIME 0x0200BFF8U
#define TEST_DEVICE 0x00100000U
#define IDENTITY 0x83FFFFE0U
/* beside the identity: RAM that no image loads over */
#define BOOTS (*(volatile uint32_t *)(IDENTITY + 28))

enum {
    IRQ_UART = 10,
    MTIME_HZ = 10000000,
    MIE_TIMER = 0x80,
    IER_RX = 1,
    IER_TX = 2,
    LSR_RX_READY = 1,
    LSR_TX_EMPTY = 0x20
};

static tlep_board board;
static uint32_t boot_seed;

/* The UART's is the only interrupt that is ever taken. */
void tlep_interrupt_handler(void)
{
    uint32_t irq = REG32(PLIC + 0x200004);
    while ((REG8(UART + 5) & LSR_RX_READY) != 0) {
        tlep_uart_received(REG8(UART));
    }
    (void)REG8(UART + 2); /* IIR: reading it takes back the transmitter's interrupt */
    tlep_uart_pump();
    REG32(PLIC + 0x200004) = irq;
}

const tlep_board *hal_init(void)
{
    (void)tlep_identity_read(IDENTITY, &board, &boot_seed);
    BOOTS++;
    board.platform = "riscv32-virt";
    board.toolchain = "riscv64-unknown-elf-gcc " __VERSION__;
    board.timer_name = "mcycle";
    board.timer_hz = 1000000000;
    board.clock_hz = 0; /* QEMU's virt machine states none */
    board.rx_window = TLEP_RX_WINDOW;
    board.emulated = true; /* the virt machine exists nowhere but in QEMU */
    board.n_regions = 1;
    board.regions[0] = tlep_models_region("ram", 64 * 1024 * 1024);
    REG8(UART + 2) = 0xC1; /* FIFOs on, trigger at 14 */
    REG8(UART + 1) = IER_RX;
    REG8(UART + 4) = 0x08; /* OUT2 lets the interrupt out */
    REG32(PLIC + 4 * IRQ_UART) = 1;
    REG32(PLIC + 0x2000) = 1U << IRQ_UART;
    REG32(PLIC + 0x200000) = 0;
    __asm volatile("csrs mie, %0" ::"r"(0x800U));
    __asm volatile("csrs mstatus, %0" ::"r"(MSTATUS_MIE));
    return &board;
}

uint64_t hal_ticks(void)
{
    uint32_t high, low, again;
    do {
        __asm volatile("csrr %0, mcycleh\n csrr %1, mcycle\n csrr %2, mcycleh"
                       : "=r"(high), "=r"(low), "=r"(again));
    } while (high != again);
    return (uint64_t)high << 32 | low;
}

/* QEMU's instruction clock stands still while nothing is due, so a sleep is given an end: the clock
 * then follows real time. */
void hal_hw_sleep(bool sleeping)
{
    if (sleeping) {
        REG32(MTIMECMP) = 0xFFFFFFFF; /* so that no half-written value is due */
        uint32_t low = REG32(MTIME), due = low + MTIME_HZ;
        REG32(MTIMECMP + 4) = REG32(MTIME + 4) + (due < low ? 1 : 0);
        REG32(MTIMECMP) = due;
        __asm volatile("csrs mie, %0" ::"r"(MIE_TIMER));
    } else {
        /* taken note of by waking; no handler runs */
        __asm volatile("csrc mie, %0" ::"r"(MIE_TIMER));
    }
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
    REG32(TEST_DEVICE) = 0x7777;
    for (;;) {
    }
}

bool uart_hw_tx_ready(void)
{
    return (REG8(UART + 5) & LSR_TX_EMPTY) != 0;
}

void uart_hw_tx(uint8_t byte)
{
    REG8(UART) = byte;
}

void uart_hw_tx_interrupt(bool on)
{
    REG8(UART + 1) = on ? IER_RX | IER_TX : IER_RX;
}
