/* RP2040 (Raspberry Pi Pico) at 125 MHz: UART0 on GP0 and GP1, the 64-bit microsecond TIMER as
 * the clock, the model slot in the flash that the firmware runs from.
 *
 * The same image runs on silicon, where boot2 starts it, and on rp2040js, which starts it
 * without mask ROM and boot2.
 *
 * Not here: the ADC's temperature sensor, which is not calibrated, and off by degrees. The timer
 * has 64 bits: nothing but the UART needs to wake the core. */
#include "platform/hal.h"

#include <string.h>

#include "cortex_m.h"
#include "identity.h"
#include "regions.h"
#include "rp2.h"
#include "rp2_chip.h"
#include "uart.h"

#define WATCHDOG_TICK (RP2_WATCHDOG + 0x2C)
#define SCRATCH_UID (RP2_WATCHDOG + 0x10) /* and the next, from boot2.S */
#define IDENTITY 0x20041FE0U
#define FLASH_BASE 0x10000000U
#define SLOT_BASE 0x10040000U

enum {
    CRYSTAL_MHZ = 12,
    FLASH_BYTES = 2 * 1024 * 1024,
    SRAM_BYTES = 264 * 1024,
    IRQ_UART0 = 20,
    UID_BYTES = 8,
};

static tlep_board board;

/* What boot2 read from the flash chip; nothing where it did not run, or the chip has no id. */
static void read_flash_uid(void)
{
    uint32_t id[2] = {REG32(SCRATCH_UID), REG32(SCRATCH_UID + 4)};
    if ((id[0] | id[1]) != 0 && (id[0] & id[1]) != 0xFFFFFFFF) {
        memcpy(board.uid, id, UID_BYTES);
        board.uid_bytes = UID_BYTES;
    }
}

static void start_timer(void)
{
    rp2_restart_blocks(RP2_RESET_TIMER);
    REG32(WATCHDOG_TICK) = 1U << 9 | CRYSTAL_MHZ; /* 1 MHz */
}

const tlep_board *hal_init(void)
{
    uint32_t seed;
    /* Emulators of the RP2040 have no ring oscillator: all bits of its random bit are 1. */
    bool silicon = REG32(RP2_ROSC_RANDOMBIT) <= 1;
    if (tlep_identity_read(IDENTITY, &board, &seed)) {
        silicon = false;
    } else {
        read_flash_uid();
    }
    rp2_start_clocks();
    start_timer();
    rp2_start_boot_id(seed);
    board.platform = "rp2040";
    board.toolchain = "arm-none-eabi-gcc " __VERSION__;
    board.timer_name = "TIMER";
    board.timer_hz = 1000000;
    board.clock_hz = RP2_CLOCK_HZ;
    board.bauds = rp2_bauds;
    board.rx_window = TLEP_RX_WINDOW;
    board.emulated = !silicon;
    board.led = silicon;
    board.n_regions = 2;
    board.regions[0] = tlep_models_region("sram", SRAM_BYTES);
    board.regions[1] = tlep_slot_region("flash", SLOT_BASE,
                                        FLASH_BASE + FLASH_BYTES - SLOT_BASE, FLASH_BYTES);
    rp2_start_uart();
    tlep_irq_enable(IRQ_UART0);
    return &board;
}

/* A vernier: the timer's tick has 125 cycles, so the same work measures a tick more or less by
 * where it starts. One turn of this loop takes 126 cycles: from look to look the tick's phase moves
 * on by one cycle, and the counter by 1. Where the phase comes round to zero the counter moves by
 * 2, and the loop stops. (Where the code waits for flash, the count of tries ends it.) */
void hal_align(void)
{
    uint32_t tries = 130, before = REG32(RP2_TIMER_RAWL), now, moved, delay;
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
                   : [timer] "l"(RP2_TIMER_RAWL)
                   : "cc", "memory");
}

extern uint32_t link_stack_high[];
__attribute__((section(".vectors"), used)) vector *const tlep_vectors[16 + IRQ_UART0 + 1] = {
    [0] = (vector *)link_stack_high,
    [1] = tlep_reset_handler,
    [2 ... 15] = tlep_fault_handler,
    [16 ... 16 + IRQ_UART0 - 1] = tlep_fault_handler,
    [16 + IRQ_UART0] = rp2_uart0_handler,
};
