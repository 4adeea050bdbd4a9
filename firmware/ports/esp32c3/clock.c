/* Watchdogs off, a timer that runs from the crystal, and the core at 160 MHz. */
#include "chip.h"

/* The mask ROM's routine that writes bits of the analog bus: block, host, register, highest bit,
 * lowest bit, value. */
typedef void analog_write(uint8_t, uint8_t, uint8_t, uint8_t, uint8_t, uint8_t);
#define ROM_ANALOG_WRITE ((analog_write *)0x40001960U)

#define WATCHDOG_KEY 0x50D83AA1U
#define SUPER_WATCHDOG_KEY 0x8F1D312AU

enum {
    PLL_BLOCK = 0x66, /* on the analog bus */
    PLL_SETTLE_US = 200,
    TIMER_DIVIDER = 2, /* the smallest */
    TIMER_TICKS_A_US = CRYSTAL_HZ / TIMER_DIVIDER / 1000000,
    READY_TRIES = 1000,
    MEASURED_US = 1000,
};

void esp32c3_stop_watchdogs(void)
{
    REG32(RTC_CNTL + 0xA8) = WATCHDOG_KEY;
    REG32(RTC_CNTL + 0x90) = 0; /* also in the mode that watches over booting */
    REG32(RTC_CNTL + 0xA8) = 0;
    REG32(RTC_CNTL + 0xB0) = SUPER_WATCHDOG_KEY;
    REG32(RTC_CNTL + 0xAC) |= 1U << 31; /* it feeds itself */
    REG32(RTC_CNTL + 0xB0) = 0;
    for (uint32_t group = TIMG0; group <= TIMG1; group += TIMG1 - TIMG0) {
        REG32(group + 0x64) = WATCHDOG_KEY;
        REG32(group + 0x48) = 1U << 22; /* off; and the change goes to the watchdog's own clock */
        REG32(group + 0x64) = 0;
    }
}

void esp32c3_start_timer(void)
{
    /* on, upwards, from the crystal */
    REG32(TIMG0) = 1U << 31 | 1U << 30 | (uint32_t)TIMER_DIVIDER << 13 | 1U << 9;
}

uint64_t esp32c3_timer(void)
{
    REG32(TIMG0 + 0x0C) = 1U << 31; /* latch the count */
    for (int i = 0; i < READY_TRIES && REG32(TIMG0 + 0x0C) >> 31 != 0; i++) {
    }
    uint32_t low = REG32(TIMG0 + 0x04);
    return (uint64_t)(REG32(TIMG0 + 0x08) & 0x3FFFFFU) << 32 | low;
}

static void wait_us(uint32_t us)
{
    uint64_t end = esp32c3_timer() + (uint64_t)us * TIMER_TICKS_A_US;
    while (esp32c3_timer() < end) {
    }
}

/* 480 MHz from a crystal of 40: the settings are those of ESP-IDF (clk_ll_bbpll_set_config). */
static void start_pll(void)
{
    static const struct {
        uint8_t reg, high, low, value;
    } settings[] = {
        {4, 7, 0, 0x6B},                 /* 480 MHz */
        {2, 7, 0, 5U << 4},              /* reference / 1, charge pump */
        {3, 7, 0, 8},                    /* · (8 + 4) */
        {5, 2, 0, 0},
        {5, 6, 4, 0},
        {6, 7, 0, 2U << 6 | 1U << 4 | 3},
        {9, 1, 0, 2},
        {6, 5, 4, 2},
        {6, 7, 6, 1},
    };
    REG32(RTC_CNTL) &= ~(1U << 6 | 1U << 8 | 1U << 10); /* power for the PLL and its registers */
    REG32(ANALOG_BUS + 0x44) |= 0x3FFU << 8;
    REG32(ANALOG_BUS + 0x44) &= ~(1U << 17); /* of all blocks, the bus leads to the PLL's */
    REG32(SYSTEM + 0x08) |= 1U << 2;         /* the dividers expect 480 MHz */
    REG32(ANALOG_BUS + 0x40) &= ~(1U << 2);  /* it calibrates itself */
    REG32(ANALOG_BUS + 0x40) |= 1U << 3;
    for (uint32_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        ROM_ANALOG_WRITE(PLL_BLOCK, 0, settings[i].reg, settings[i].high, settings[i].low,
                         settings[i].value);
    }
    wait_us(PLL_SETTLE_US);
}

/* Cycles of the core in a millisecond of the crystal. */
static uint32_t measured_hz(void)
{
    uint32_t before, after;
    __asm volatile("csrwi 0x7E0, 1\n csrwi 0x7E1, 1"); /* the performance counter counts cycles */
    __asm volatile("csrr %0, 0x7E2" : "=r"(before));
    wait_us(MEASURED_US);
    __asm volatile("csrr %0, 0x7E2" : "=r"(after));
    return (after - before + MEASURED_US / 2) / MEASURED_US * 1000000;
}

uint32_t esp32c3_start_core_clock(void)
{
    if ((REG32(SYSTEM + 0x58) >> 10 & 3) != 1) { /* not on the PLL yet */
        start_pll();
    }
    REG32(SYSTEM + 0x08) = (REG32(SYSTEM + 0x08) & ~3U) | 1; /* PLL / 3 */
    REG32(SYSTEM + 0x58) = 1U << 10;                         /* from the PLL */
    return measured_hz();
}
