/* ESP32-C3 at 160 MHz, booted directly from its flash: no second stage, no partition table, the
 * flash mapped whole by the mask ROM. TIMG0's timer is the clock of record; it runs from the
 * crystal and so knows nothing of the core's rate.
 *
 * The same image runs on silicon (revision 3 and up) and on labwired, which has no PLL, no ROM
 * and no receive interrupt, and counts TIMG0 in instructions.
 *
 * Not here: hal_align, as a tick of 50 ns is no longer than the reading of it; an LED, as
 * development boards have an RGB one that a level does not light, on different pins; the
 * temperature sensor, whose calibration could not be checked without silicon. The timer runs on
 * in sleep and never wraps. */
#include "platform/hal.h"

#include "bridge.h"
#include "chip.h"
#include "identity.h"
#include "irq.h"
#include "regions.h"
#include "uart.h"

/* Beside the identity: RAM that a restart leaves alone. */
#define BOOTS (*(volatile uint32_t *)(IDENTITY + 28))
#define FLASH_DATA 0x3C000000U

enum {
    FLASH_BYTES = 4 * 1024 * 1024,
    SLOT_OFFSET = 1024 * 1024,
    SRAM_BYTES = 400 * 1024, /* 16 KiB of it the flash cache's */
    MAC_BYTES = 6,
    TIMER_HZ = CRYSTAL_HZ / 2,
    LABWIRED_HZ = 160000000, /* of core and timer: a tick an instruction */
};

/* What the mask ROM looks for at the start of the flash, before _start. */
__attribute__((section(".header"), used)) static const uint32_t direct_boot[2] = {0xAEDB041D,
                                                                                  0xAEDB041D};
static tlep_board board;
static uint32_t boot_seed;

static void read_mac(void)
{
    uint64_t mac = (uint64_t)REG32(EFUSE + 0x48) << 32 | REG32(EFUSE + 0x44);
    board.uid_bytes = MAC_BYTES;
    for (uint32_t i = 0; i < MAC_BYTES; i++) {
        board.uid[i] = (uint8_t)(mac >> 8 * (MAC_BYTES - 1 - i));
    }
    boot_seed = (uint32_t)mac;
}

const tlep_board *hal_init(void)
{
    board.emulated = tlep_identity_read(IDENTITY, &board, &boot_seed);
    esp32c3_stop_watchdogs();
    esp32c3_start_timer();
    if (board.emulated) {
        board.clock_hz = LABWIRED_HZ;
        board.timer_hz = LABWIRED_HZ;
        esp32c3_start_polled_console();
    } else {
        read_mac();
        board.clock_hz = esp32c3_start_core_clock();
        board.timer_hz = TIMER_HZ;
        board.bauds = esp32c3_bauds;
        esp32c3_start_console();
    }
    BOOTS++; /* noise after power-on, which is as good */
    board.platform = "esp32c3";
    board.toolchain = "riscv64-unknown-elf-gcc " __VERSION__;
    board.timer_name = "TIMG0";
    board.rx_window = TLEP_RX_WINDOW;
    board.n_regions = 2;
    board.regions[0] = tlep_models_region("sram", SRAM_BYTES);
    board.regions[1] = tlep_slot_region("flash", FLASH_DATA + SLOT_OFFSET,
                                        FLASH_BYTES - SLOT_OFFSET, FLASH_BYTES);
    return &board;
}

uint64_t hal_ticks(void)
{
    uint64_t ticks = esp32c3_timer();
    if (board.emulated) {
        ticks += (uint64_t)tlep_bridge_at(IDENTITY)->slept_ms * (LABWIRED_HZ / 1000);
    }
    return ticks;
}

uint32_t hal_boot_id(void)
{
    return tlep_boot_id(boot_seed, BOOTS);
}

void hal_reset(void)
{
    esp32c3_flush_console();
    REG32(RTC_CNTL) |= 1U << 31; /* the whole digital part, as at power-on */
    for (;;) {
    }
}
