/* What Raspberry Pi's RP2040 and RP2350 have in common: crystal and PLL, resets, the 64-bit
 * timer as the clock, UART0 (a PL011), the watchdog as the way to restart, the LED of a Pico. Only
 * their addresses and a few bits differ. A port describes those in a header of its own, rp2_chip.h:
 *     RP2_RESETS, RP2_CLOCKS, RP2_XOSC, RP2_PLL_SYS, RP2_PSM, RP2_WATCHDOG, RP2_IO_BANK0,
 *     RP2_PADS_BANK0, RP2_UART0, RP2_TIMER                bases
 *     RP2_RESET_IO_BANK0, RP2_RESET_PADS_BANK0, RP2_RESET_PLL_SYS, RP2_RESET_UART0
 *                                                         bits of RESETS
 *     RP2_RESUS_CTRL, RP2_ROSC_RANDOMBIT                  addresses
 *     RP2_CLK_UNDIVIDED                                   1, as the clocks' DIV registers have it
 *     RP2_PSM_ALL_BUT_OSCILLATORS                         bits of PSM_WDSEL
 *     RP2_SIO_OUT_SET, RP2_SIO_OUT_CLR, RP2_SIO_OE_SET    addresses, for pins 0 to 31
 *     RP2_PLL_FEEDBACK, RP2_PLL_POST1, RP2_PLL_POST2      12 MHz x FEEDBACK / POST1 / POST2
 *     RP2_CLOCK_HZ                                        what comes out of that
 *
 * (Register numbers: RP2040 datasheet, RP2350 datasheet.) */
#ifndef TLEP_RP2_H
#define TLEP_RP2_H

#include <stdbool.h>
#include <stdint.h>

#define RP2_TIMER_RAWH (RP2_TIMER + 0x24)
#define RP2_TIMER_RAWL (RP2_TIMER + 0x28)

extern const uint32_t rp2_bauds[]; /* first the one that rp2_start_uart sets; ended by 0 */

/* Crystal, PLL, system and peripheral clock. Without a crystal it returns after a while, and the
 * clock is not RP2_CLOCK_HZ; but then the UART's rate is wrong as well, so no host hears a number
 * that is measured by it. */
void rp2_start_clocks(void);

/* Reset the blocks of these RESETS bits, and let them out of it. */
void rp2_restart_blocks(uint32_t bits);

/* UART0 on GP0 (out) and GP1 (in). The port enables the interrupt, which calls the handler. */
void rp2_start_uart(void);
void rp2_uart0_handler(void);

/* Another number each boot: from the ring oscillator, which runs beside the crystal, or from the
 * seed that an emulator gave. */
void rp2_start_boot_id(uint32_t emulated_seed);

#endif
