/* Raspberry Pi Pico 2 (RP2350, Cortex-M33, secure) at 150 MHz: UART0 on GP0 and GP1, TIMER0 as
 * the clock, the model slot in the flash that the program runs from.
 *
 * TIMER0 is a 64-bit counter, made to count the system clock: as fine as the core's own cycle
 * counter, without a wrap to look after, and it goes on while the core sleeps or is held by a
 * debugger.
 *
 * The flash stays as the boot ROM left it: the fastest read mode that it found to work, from
 * four bits at a third of the system clock downwards.
 *
 * Not here: the ADC's temperature sensor, which is off by degrees from chip to chip, and we had
 * none to try. */
#include "platform/hal.h"

#include "cortex_m.h"
#include "identity.h"
#include "regions.h"
#include "rp2.h"
#include "rp2_chip.h"
#include "uart.h"

#define IDENTITY 0x20081FE0U
#define FLASH_BASE 0x10000000U
#define SLOT_BASE 0x10020000U
#define TIMER_DBGPAUSE (RP2_TIMER + 0x2C)
#define TIMER_SOURCE (RP2_TIMER + 0x38)
#define SYSINFO_PLATFORM (RP2_SYSINFO + 0x08)

enum {
    FLASH_BYTES = 4 * 1024 * 1024,
    SRAM_BYTES = 520 * 1024,
    UID_BYTES = 8,
    IRQ_UART0 = 33,
    SOURCE_CLK_SYS = 1,
    PLATFORM_ASIC = 1 << 1, /* against an FPGA or a simulation */
};

static tlep_board board;

/* The 64-bit id that is burnt into each chip, as picotool and the boot ROM's drive show it: highest
 * byte first. None where its owner has locked that page. */
static void read_uid(void)
{
    if (!tlep_readable(RP2_OTP_DATA)) {
        return;
    }
    uint64_t id = REG32(RP2_OTP_DATA) | (uint64_t)REG32(RP2_OTP_DATA + 4) << 32;
    board.uid_bytes = UID_BYTES;
    for (uint32_t i = 0; i < UID_BYTES; i++) {
        board.uid[i] = (uint8_t)(id >> 8 * (UID_BYTES - 1 - i));
    }
}

static void start_timer(void)
{
    rp2_restart_blocks(RP2_RESET_TIMER);
    REG32(TIMER_DBGPAUSE) = 0;
    REG32(TIMER_SOURCE) = SOURCE_CLK_SYS;
}

const tlep_board *hal_init(void)
{
    uint32_t seed;
    rp2_start_clocks();
    start_timer();
    rp2_restart_blocks(RP2_RESET_SYSINFO);
    bool labelled = tlep_identity_read(IDENTITY, &board, &seed);
    bool silicon = !labelled && (REG32(SYSINFO_PLATFORM) & PLATFORM_ASIC) != 0;
    if (silicon) {
        read_uid();
    }
    rp2_start_boot_id(seed);
    board.platform = "rp2350";
    board.toolchain = "arm-none-eabi-gcc " __VERSION__;
    board.timer_name = "TIMER0";
    board.timer_hz = RP2_CLOCK_HZ;
    board.clock_hz = RP2_CLOCK_HZ;
    board.bauds = rp2_bauds;
    board.rx_window = TLEP_RX_WINDOW;
    board.emulated = !silicon;
    board.cycle_counter = true; /* TIMER0 is one: it counts the clock of the core */
    board.led = silicon;
    board.n_regions = 2;
    board.regions[0] = tlep_models_region("sram", SRAM_BYTES);
    board.regions[1] = tlep_slot_region("flash", SLOT_BASE,
                                        FLASH_BASE + FLASH_BYTES - SLOT_BASE, FLASH_BYTES);
    rp2_start_uart();
    tlep_irq_enable(IRQ_UART0);
    return &board;
}

extern uint32_t link_stack_high[];
__attribute__((section(".vectors"), used)) vector *const tlep_vectors[16 + IRQ_UART0 + 1] = {
    [0] = (vector *)link_stack_high,
    [1] = tlep_reset_handler,
    [2 ... 16 + IRQ_UART0 - 1] = tlep_fault_handler,
    [16 + IRQ_UART0] = rp2_uart0_handler,
};
