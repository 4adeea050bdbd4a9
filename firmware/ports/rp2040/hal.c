/* RP2040 (Raspberry Pi Pico) at 125 MHz: UART0 on GP0 and GP1, the 64-bit microsecond TIMER, the
 * model slot in the flash that the firmware runs from.
 *
 * The same image runs on silicon, where boot2 starts it, and on rp2040js, which starts it without
 * mask ROM and boot2. */
#include "platform/hal.h"

#include <string.h>

#include "cortex_m.h"
#include "identity.h"
#include "irq.h"
#include "uart.h"

#define PSM_WDSEL 0x40010008U
#define CLOCKS 0x40008000U
#define RESETS 0x4000C000U
#define IO_BANK0 0x40014000U
#define PADS_BANK0 0x4001C000U
#define XOSC 0x40024000U
#define PLL_SYS 0x40028000U
#define UART0 0x40034000U
#define TIMER 0x40054000U
#define WATCHDOG 0x40058000U
#define ROSC_RANDOMBIT 0x4006001CU
/* Of the watchdog: a restart leaves it, power-on clears it, and the mask ROM uses only 4 to 7. */
#define SCRATCH_BOOTS 0x4005800CU
#define SCRATCH_UID 0x40058010U /* and the next, from boot2.S */
#define SIO 0xD0000000U
#define IDENTITY 0x20041FE0U
#define FLASH_BASE 0x10000000U
#define SLOT_BASE 0x10040000U

enum {
    CRYSTAL_MHZ = 12,
    CLOCK_HZ = 125000000,
    FLASH_BYTES = 2 * 1024 * 1024,
    SRAM_BYTES = 264 * 1024,
    DEFAULT_BAUD = 115200,
    IRQ_UART0 = 20,
    READY_TRIES = 100000,
    ATOMIC_CLEAR = 0x3000, /* beyond a register: a write clears the bits that are 1 in it */
    UID_BYTES = 8,
    LED_PIN = 25,
    RX_PIN = 1,
};
enum { RESET_IO_BANK0 = 1 << 5, RESET_PADS_BANK0 = 1 << 8, RESET_PLL_SYS = 1 << 12 };
enum { RESET_TIMER = 1 << 21, RESET_UART0 = 1 << 22 };
enum { FUNCTION_UART = 2, FUNCTION_SIO = 5 };
enum { UART_DR = 0x00, UART_FR = 0x18, UART_IBRD = 0x24, UART_FBRD = 0x28, UART_LCR_H = 0x2C };
enum { UART_CR = 0x30, UART_IMSC = 0x38 };
enum { FR_BUSY = 1 << 3, FR_RX_EMPTY = 1 << 4, FR_TX_FULL = 1 << 5 };
enum { CR_ON = 0x301 /* UARTEN TXE RXE */, LCR_8N1_FIFO = 0x70 };
/* Half a FIFO received, or something that has waited for 32 bits' time. */
enum { INT_RX = 1 << 4 | 1 << 6, INT_TX = 1 << 5 };

extern uint8_t link_models_start[], link_models_end[];

static const uint32_t bauds[] = {115200, 230400, 460800, 921600, 0};
static tlep_board board;
static uint32_t boot_seed;

static bool wait_for(uint32_t address, uint32_t mask, uint32_t value)
{
    for (uint32_t i = 0; i < READY_TRIES; i++) {
        if ((REG32(address) & mask) == value) {
            return true;
        }
    }
    return false;
}

static void release(uint32_t blocks)
{
    REG32(RESETS + ATOMIC_CLEAR) = blocks;
    (void)wait_for(RESETS + 0x08, blocks, blocks);
}

/* Crystal 12 MHz -> PLL: 12 x 125 / (6 x 2) = 125 MHz for the core and for the UART (datasheet 2.15,
 * 2.16, 2.18). The second PLL is for USB and ADC, which nothing here uses. */
static void start_clocks(void)
{
    REG32(XOSC + 0x0C) = 938;                  /* 20 ms in units of 256 periods: any crystal's time */
    REG32(XOSC) = 0xFABU << 12 | 0xAA0U;       /* on, 1 to 15 MHz */
    if (!wait_for(XOSC + 0x04, 1U << 31, 1U << 31)) {
        return; /* no crystal: stay on the ring oscillator */
    }
    REG32(CLOCKS + 0x30) = 2;                  /* clk_ref from the crystal; clk_sys follows it */
    (void)wait_for(CLOCKS + 0x38, 1U << 2, 1U << 2);
    REG32(WATCHDOG + 0x2C) = 1U << 9 | CRYSTAL_MHZ; /* the tick of TIMER: 1 MHz */
    release(RESET_PLL_SYS);
    REG32(PLL_SYS) = 1;
    REG32(PLL_SYS + 0x08) = 125;
    REG32(PLL_SYS + 0x04 + ATOMIC_CLEAR) = 1U << 5 | 1U; /* power: VCO and PLL */
    if (!wait_for(PLL_SYS, 1U << 31, 1U << 31)) {
        return;
    }
    REG32(PLL_SYS + 0x0C) = 6U << 16 | 2U << 12;
    REG32(PLL_SYS + 0x04 + ATOMIC_CLEAR) = 1U << 3; /* power: the dividers behind */
    REG32(CLOCKS + 0x3C) = 0;                  /* clk_sys: choose the PLL while it is not used, ... */
    REG32(CLOCKS + 0x3C) = 1;                  /* ... then use it */
    (void)wait_for(CLOCKS + 0x44, 1U << 1, 1U << 1);
    REG32(CLOCKS + 0x48) = 1U << 11;           /* clk_peri, the UART's: on, from clk_sys */
}

static void start_uart(void)
{
    REG32(IO_BANK0 + 4) = FUNCTION_UART;
    REG32(PADS_BANK0 + 4 + 4 * RX_PIN) = 0x5A; /* pulled up: a wire that hangs open is silent */
    REG32(IO_BANK0 + 8 * RX_PIN + 4) = FUNCTION_UART;
    (void)hal_uart_set_baud(DEFAULT_BAUD);
    REG32(UART0 + UART_CR) = CR_ON;
    REG32(UART0 + UART_IMSC) = INT_RX;
    tlep_irq_enable(IRQ_UART0);
}

/* What boot2 read from the flash chip; nothing where it did not run, or the chip has no id. */
static void read_flash_uid(void)
{
    uint32_t id[2] = {REG32(SCRATCH_UID), REG32(SCRATCH_UID + 4)};
    if ((id[0] | id[1]) != 0 && (id[0] & id[1]) != 0xFFFFFFFF) {
        memcpy(board.uid, id, UID_BYTES);
        board.uid_bytes = UID_BYTES;
    }
}

static uint32_t random_word(void)
{
    uint32_t word = 0;
    for (uint32_t i = 0; i < 32; i++) {
        word = word << 1 | (REG32(ROSC_RANDOMBIT) & 1);
    }
    return word;
}

const tlep_board *hal_init(void)
{
    /* Emulators of the RP2040 have no ring oscillator: all bits of its random bit are 1. */
    bool silicon = REG32(ROSC_RANDOMBIT) <= 1;
    if (tlep_identity_read(IDENTITY, &board, &boot_seed)) {
        silicon = false;
    } else {
        read_flash_uid();
        boot_seed = random_word();
    }
    start_clocks();
    release(RESET_IO_BANK0 | RESET_PADS_BANK0 | RESET_TIMER | RESET_UART0);
    REG32(SCRATCH_BOOTS) += 1;
    board.platform = "rp2040";
    board.toolchain = "arm-none-eabi-gcc " __VERSION__;
    board.timer_name = "TIMER";
    board.timer_hz = 1000000;
    board.clock_hz = CLOCK_HZ;
    board.bauds = bauds;
    board.rx_window = TLEP_RX_WINDOW;
    board.emulated = !silicon;
    board.led = silicon;
    board.n_regions = 2;
    board.regions[0] = (tlep_region){.name = "sram",
                                     .kind = TLEP_REGION_RAM,
                                     .base = link_models_start,
                                     .size = (uint32_t)(link_models_end - link_models_start),
                                     .total = SRAM_BYTES};
    board.regions[1] = (tlep_region){.name = "flash",
                                     .kind = TLEP_REGION_FLASH,
                                     .base = (uint8_t *)SLOT_BASE,
                                     .size = FLASH_BASE + FLASH_BYTES - SLOT_BASE,
                                     .total = FLASH_BYTES};
    start_uart();
    return &board;
}

uint64_t hal_ticks(void)
{
    uint32_t high, low;
    do { /* again when the low half has wrapped between the looks */
        high = REG32(TIMER + 0x24);
        low = REG32(TIMER + 0x28);
    } while (REG32(TIMER + 0x24) != high);
    return (uint64_t)high << 32 | low;
}

/* A vernier: the timer's tick has 125 cycles, so the same work measures a tick more or less by where
 * it starts. One turn of this loop takes 126 cycles: from look to look it falls back by one cycle,
 * and the counter moves by 1. Where it comes round to the tick's first cycle the counter moves by 2,
 * and the loop stops. (Where the code waits for flash, the count of tries ends it.) */
void hal_align(void)
{
    uint32_t tries = 130, before = REG32(TIMER + 0x28), now, moved, delay;
    __asm volatile(".syntax unified\n"
                   "1: ldr %[now], [%[timer]]\n"
                   "   subs %[moved], %[now], %[before]\n"
                   "   movs %[before], %[now]\n"
                   "   subs %[tries], #1\n"
                   "   beq 3f\n"
                   "   movs %[delay], #38\n"
                   "2: subs %[delay], #1\n"
                   "   bne 2b\n"
                   "   nop\n"
                   "   cmp %[moved], #2\n"
                   "   bne 1b\n"
                   "3:\n"
                   : [before] "+l"(before), [tries] "+l"(tries), [now] "=&l"(now),
                     [moved] "=&l"(moved), [delay] "=&l"(delay)
                   : [timer] "l"(TIMER + 0x28)
                   : "cc", "memory");
}

void hal_hw_sleep(bool sleeping)
{
    (void)sleeping; /* nothing but the UART needs to wake the core: the timer has 64 bits */
}

uint32_t hal_boot_id(void)
{
    return boot_seed ^ REG32(SCRATCH_BOOTS) * 2654435761U;
}

/* As if power came on, but for the oscillators; Cortex-M's own reset would leave the peripherals. */
void hal_reset(void)
{
    (void)wait_for(UART0 + UART_FR, FR_BUSY, 0);
    REG32(PSM_WDSEL) = 0x1FFFC;
    REG32(WATCHDOG) = 1U << 31; /* trigger */
    for (;;) {
    }
}

bool hal_uart_set_baud(uint32_t baud)
{
    uint32_t divisor_x64 = (uint32_t)((CLOCK_HZ * 4ULL + baud / 2) / baud);
    (void)wait_for(UART0 + UART_FR, FR_BUSY, 0); /* the FIFO and the byte on the wire */
    REG32(UART0 + UART_IBRD) = divisor_x64 >> 6;
    REG32(UART0 + UART_FBRD) = divisor_x64 & 63;
    REG32(UART0 + UART_LCR_H) = LCR_8N1_FIFO; /* takes the divisor over */
    return true;
}

/* The Pico's LED, lit when high. The pin is an output only from the first blink on. */
void hal_led(bool on)
{
    REG32(SIO + (on ? 0x14 : 0x18)) = 1U << LED_PIN;
    REG32(SIO + 0x24) = 1U << LED_PIN;
    REG32(IO_BANK0 + 8 * LED_PIN + 4) = FUNCTION_SIO;
}

bool hal_temperature(uint32_t index, const char **location, int32_t *millidegrees)
{
    (void)index;
    (void)location;
    (void)millidegrees;
    return false; /* the ADC's sensor is not calibrated, and off by degrees */
}

bool uart_hw_tx_ready(void)
{
    return (REG32(UART0 + UART_FR) & FR_TX_FULL) == 0;
}

void uart_hw_tx(uint8_t byte)
{
    REG32(UART0 + UART_DR) = byte;
}

void uart_hw_tx_interrupt(bool on)
{
    REG32(UART0 + UART_IMSC) = on ? INT_RX | INT_TX : INT_RX;
}

static void uart0_handler(void)
{
    while ((REG32(UART0 + UART_FR) & FR_RX_EMPTY) == 0) { /* emptied, it asks no more */
        tlep_uart_received((uint8_t)REG32(UART0 + UART_DR));
    }
    tlep_uart_pump();
}

extern uint32_t link_stack_high[];
__attribute__((section(".vectors"), used)) vector *const tlep_vectors[16 + IRQ_UART0 + 1] = {
    [0] = (vector *)link_stack_high,
    [1] = tlep_reset_handler,
    [2 ... 15] = tlep_fault_handler,
    [16 ... 16 + IRQ_UART0 - 1] = tlep_fault_handler,
    [16 + IRQ_UART0] = uart0_handler,
};
