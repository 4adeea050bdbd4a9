/* What a port must provide: the functions below and one description of the board.
 *
 * Everything above this line of the house is portable C99 and the same on every chip. A port never
 * parses a frame and never sees a model. firmware/ports/README.md walks through writing one.
 *
 * Rules for a port:
 * - Receive is interrupt- or DMA-driven into a ring of at least `rx_window` bytes: a real UART
 *   overruns while the core multiplies matrices. Count what is lost; never block.
 * - hal_ticks() is monotonic, never wraps in practice (64 bit), and is the board's own clock.
 * - hal_align, hal_led and hal_temperature have defaults for boards without (hal_absent.c).
 * - Nothing here allocates. */
#ifndef TLEP_HAL_H
#define TLEP_HAL_H

#include <stdbool.h>
#include <stdint.h>

enum { TLEP_UID_MAX = 16, TLEP_REGIONS_MAX = 6 };

typedef enum { TLEP_REGION_RAM = 0, TLEP_REGION_FLASH = 1, TLEP_REGION_STACK = 2 } tlep_region_kind;

/* A stretch of memory the core may fill with a model and its state (RAM), or where a model slot may
 * be found (FLASH). `total` is its size on the chip, for people; `size` is the part left for
 * models. */
typedef struct {
    const char *name; /* as in HELLO, at most 16 characters: "sram", "psram", "flash" */
    tlep_region_kind kind;
    uint8_t *base;
    uint32_t size;
    uint32_t total;
} tlep_region;

typedef struct {
    const char *platform;      /* "stm32f405" */
    const char *toolchain;     /* "arm-none-eabi-gcc 12.2.1" */
    const char *timer_name;    /* "TIM2" */
    uint32_t timer_hz;
    uint32_t clock_hz;         /* CPU clock; 0 when unknown */
    /* rates hal_uart_set_baud accepts, first the one it comes up at; ended by 0 */
    const uint32_t *bauds;
    uint32_t rx_window;        /* bytes of wire frames the receive ring holds */
    uint8_t uid[TLEP_UID_MAX]; /* the chip's unique id */
    uint8_t uid_bytes;
    bool emulated;             /* decided at run time, by looking at the silicon */
    bool cycle_counter;
    bool led;                  /* hal_led() lights something that a person can see */
    bool temperature_emulated;
    tlep_region regions[TLEP_REGIONS_MAX];
    uint32_t n_regions;
} tlep_board;

/* Bring up clocks, timer, UART and interrupts; return the board. Called once, before anything
 * else. */
const tlep_board *hal_init(void);

/* The board's own timer since start, in ticks of 1 / timer_hz: monotonic, and as fine as the chip
 * has it. */
uint64_t hal_ticks(void);

/* Wait for the moment from which equal work takes equal ticks: returns where a counter slower than
 * the core has just moved on. Called before each timed window; a port whose counter is fine enough
 * returns at once. */
void hal_align(void);

/* Take up to `n` received bytes; returns how many (0: none waiting). Never blocks. */
uint32_t hal_uart_read(uint8_t *to, uint32_t n);

/* Bytes the receive ring can still take, and bytes lost so far because it was full. */
uint32_t hal_uart_rx_free(void);
uint32_t hal_uart_rx_overruns(void);

/* Queue all `n` bytes for transmission, or none: returns whether there was room. Never blocks. */
bool hal_uart_write(const uint8_t *from, uint32_t n);

/* Wait until every queued byte has left the wire. */
void hal_uart_drain(void);

/* Change the line rate; false (and no change) if the UART cannot make it. */
bool hal_uart_set_baud(uint32_t baud);

/* Sleep until the next interrupt (WFI); may return early. Called only when there is nothing to
 * do. */
void hal_idle(void);

/* Restart as at power-on. Does not return. */
void hal_reset(void) __attribute__((noreturn));

/* A number that differs from boot to boot as well as the chip can make it. */
uint32_t hal_boot_id(void);

/* Lowest and highest address of the stack, for painting and the high-water mark. */
void hal_stack(uintptr_t *low, uintptr_t *high);

/* Light the LED by which a person tells this board from its neighbours; nothing where `led` is
 * false. */
void hal_led(bool on);

/* Read temperature sensor `index`: false when there is none. */
bool hal_temperature(uint32_t index, const char **location, int32_t *millidegrees);

#endif
