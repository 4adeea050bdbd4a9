/* Registers of the ESP32-C3, and what the files of this port share. Numbers are those of its
 * Technical Reference Manual. */
#ifndef TLEP_ESP32C3_H
#define TLEP_ESP32C3_H

#include <stdbool.h>
#include <stdint.h>

#define REG32(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define UART0 0x60000000U
#define RTC_CNTL 0x60008000U
#define EFUSE 0x60008800U
#define ANALOG_BUS 0x6000E000U
#define TIMG0 0x6001F000U
#define TIMG1 0x60020000U
#define USB_DEVICE 0x60043000U
#define SYSTEM 0x600C0000U
#define INTERRUPT_MATRIX 0x600C2000U

/* Where our bridge to labwired puts uid and boot seed: the end of SRAM. */
#define IDENTITY 0x3FCDFFE0U

enum { CRYSTAL_HZ = 40000000 };

/* clock.c: the watchdogs that the ROM leaves running; TIMG0's timer; and, on silicon, the core at
 * 160 MHz, of which the measured rate is returned. */
void esp32c3_stop_watchdogs(void);
void esp32c3_start_timer(void);
uint64_t esp32c3_timer(void);
uint32_t esp32c3_start_core_clock(void);

/* console.c: UART0 and USB by interrupt, or UART0 alone and polled; and the wait until UART0's last
 * bit has left. */
extern const uint32_t esp32c3_bauds[];
void esp32c3_start_console(void);
void esp32c3_start_polled_console(void);
void esp32c3_flush_console(void);

#endif
