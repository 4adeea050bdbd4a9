/* nRF52840 at its fixed 64 MHz: UART0, TIMER0 as the clock (the cycle counter stops in sleep), the
 * model slot in its own flash.
 *
 * The UART is the one without DMA (docs/decisions/0023-nrf52840-uart.md). Its receive FIFO of six
 * bytes gives the interrupt 60 us at the chip's fastest rate, 1 Mbaud.
 *
 * The same sources run on silicon and, compiled for its Cortex-M0, on QEMU's nRF51, which is told
 * its identity (identity.h). It has this UART with its interrupts, this TIMER, and neither a cycle
 * counter nor a VTOR.
 *
 * Not here: hal_align, as a tick of the timer, four cycles, is shorter than the reading of it; the
 * temperature sensor, whose readings could not be checked without silicon. */
#include "platform/hal.h"

#include <string.h>

#include "clock.h"
#include "cortex_m.h"
#include "identity.h"
#include "irq.h"
#include "regions.h"
#include "uart.h"

#define VTOR 0xE000ED08U
#define CLOCK 0x40000000U
#define CLOCK_HFCLKSTARTED (CLOCK + 0x100)
#define UART 0x40002000U
#define UART_RXDRDY (UART + 0x108)
#define UART_TXDRDY (UART + 0x11C)
#define UART_INTENSET (UART + 0x304)
#define UART_INTENCLR (UART + 0x308)
#define UART_ERRORSRC (UART + 0x480)
#define UART_RXD (UART + 0x518)
#define UART_TXD (UART + 0x51C)
#define UART_BAUDRATE (UART + 0x524)
#define TIMER 0x40008000U
#define TIMER_COMPARE0 (TIMER + 0x140)
#define NVMC_ICACHECNF 0x4001E540U
#define DEVICE_ID 0x10000060U
#define GPIO(pin) (0x50000000U + 0x300U * ((pin) / 32))
#define PIN_CNF(pin) (GPIO(pin) + 0x700 + 4 * ((pin) % 32))
#define IDENTITY 0x2003FFE0U
#define SLOT_BASE 0x00040000U

enum {
    CORE_HZ = 64000000,
    TIMER_HZ = 16000000,
    FLASH_BYTES = 1024 * 1024,
    UID_BYTES = 8,
    IRQ_UART = 2,
    IRQ_TIMER = 8,
    READY_TRIES = 100000, /* some 10 ms; the crystal needs less than one */
};
/* UART: INTEN and ENABLE. TIMER: INTEN. GPIO: PIN_CNF. */
enum {
    INT_RXDRDY = 1 << 2,
    INT_TXDRDY = 1 << 7,
    ENABLE_UART = 4, /* 8 would be UARTE */
    ERROR_OVERRUN = 1 << 0,
    INT_COMPARE0 = 1 << 16,
    PIN_OUTPUT = 3,   /* the input disconnected */
    PIN_PULL_UP = 12, /* an input that nobody drives is then a quiet line */
};

extern vector *const tlep_vectors[];

/* What the divider makes exactly, or 0.6 % too fast; of 460800 and 921600 it misses 2 %. */
static const uint32_t bauds[] = {115200, 230400, 1000000, 0};
static const uint32_t dividers[] = {0x01D7E000, 0x03AFB000, 0x10000000};
static tlep_board board;
static tlep_clock clock;
static uint32_t boot_seed;
static uint32_t boots __attribute__((section(".noinit")));
static bool sending; /* a byte is on its way out */

/* The 32 MHz crystal instead of the RC oscillator, for the UART and the timer; false where it does
 * not start. */
static bool start_crystal(void)
{
    REG32(CLOCK_HFCLKSTARTED) = 0;
    REG32(CLOCK) = 1;
    for (uint32_t i = 0; i < READY_TRIES; i++) {
        if (REG32(CLOCK_HFCLKSTARTED) != 0) {
            return true;
        }
    }
    return false;
}

static void start_timer(void)
{
    REG32(TIMER + 0x004) = 1; /* STOP, should a bootloader have used it */
    REG32(TIMER + 0x504) = 0; /* MODE: timer */
    REG32(TIMER + 0x508) = 3; /* BITMODE: 32 bit */
    REG32(TIMER + 0x510) = 0; /* PRESCALER: none */
    REG32(TIMER + 0x540) = 0; /* CC[0]: where it wraps */
    REG32(TIMER + 0x00C) = 1; /* CLEAR */
    REG32(TIMER) = 1;         /* START */
    tlep_irq_enable(IRQ_TIMER);
}

/* Takes whatever has come, into a full ring too: left there, the byte would ask again at once, and
 * the main loop would never run to empty the ring. */
static void uart_handler(void)
{
    if ((REG32(UART_ERRORSRC) & ERROR_OVERRUN) != 0) {
        REG32(UART_ERRORSRC) = ERROR_OVERRUN; /* cleared by a one */
        tlep_uart_lost();
    }
    while (REG32(UART_RXDRDY) != 0) {
        REG32(UART_RXDRDY) = 0;
        (void)REG32(UART_RXDRDY); /* cleared by now: reading RXD may set it again */
        tlep_uart_received((uint8_t)REG32(UART_RXD));
    }
    tlep_uart_pump();
}

static void start_uart(void)
{
    REG32(UART + 0x500) = 0;
    REG32(GPIO(TX_PIN) + 0x508) = 1U << TX_PIN % 32; /* OUTSET: an idle line is high */
    REG32(PIN_CNF(TX_PIN)) = PIN_OUTPUT;
    REG32(PIN_CNF(RX_PIN)) = PIN_PULL_UP;
    REG32(UART + 0x50C) = TX_PIN; /* PSEL.TXD */
    REG32(UART + 0x514) = RX_PIN; /* PSEL.RXD */
    (void)hal_uart_set_baud(bauds[0]);
    REG32(UART + 0x56C) = 0; /* CONFIG: 8N1, no flow control */
    REG32(UART + 0x500) = ENABLE_UART;
    REG32(UART + 0x008) = 1; /* STARTTX */
    REG32(UART) = 1;         /* STARTRX */
    REG32(UART_INTENSET) = INT_RXDRDY;
    tlep_irq_enable(IRQ_UART);
}

const tlep_board *hal_init(void)
{
    REG32(VTOR) = (uint32_t)(uintptr_t)tlep_vectors; /* behind a bootloader it is not at 0 */
    REG32(NVMC_ICACHECNF) = 1;                       /* the flash's cache, off after reset */
    board.emulated = tlep_identity_read(IDENTITY, &board, &boot_seed);
    board.cycle_counter = tlep_cycle_counter_start();
    bool crystal = start_crystal();
    start_timer();
    if (!board.emulated) {
        board.uid_bytes = UID_BYTES;
        memcpy(board.uid, (const void *)DEVICE_ID, UID_BYTES);
        memcpy(&boot_seed, board.uid, sizeof boot_seed);
    }
    boots++; /* .noinit: survives a reset, and is noise after power-on */
    board.platform = "nrf52840";
    board.toolchain = "arm-none-eabi-gcc " __VERSION__;
    board.timer_name = crystal ? "TIMER0" : "TIMER0 (no HFXO)";
    board.timer_hz = TIMER_HZ;
    board.clock_hz = CORE_HZ;
    board.bauds = bauds;
    board.rx_window = TLEP_RX_WINDOW;
    board.led = !board.emulated;
    board.n_regions = 2;
    board.regions[0] = tlep_models_region("sram", 256 * 1024);
    board.regions[1] = tlep_slot_region("flash", SLOT_BASE, SLOT_END - SLOT_BASE, FLASH_BYTES);
    start_uart();
    return &board;
}

uint64_t hal_ticks(void)
{
    REG32(TIMER + 0x044) = 1; /* CAPTURE[1] */
    return tlep_clock_ticks(&clock, REG32(TIMER + 0x544));
}

/* The counter wraps within five minutes: asleep, its interrupt wakes the core to take note; awake,
 * every look does. */
void hal_hw_sleep(bool sleeping)
{
    REG32(TIMER_COMPARE0) = 0;
    REG32(TIMER + (sleeping ? 0x304 : 0x308)) = INT_COMPARE0;
    (void)hal_ticks();
}

static void timer_handler(void)
{
    REG32(TIMER_COMPARE0) = 0;
    (void)REG32(TIMER_COMPARE0); /* cleared by now, or the interrupt would come again */
}

uint32_t hal_boot_id(void)
{
    return tlep_boot_id(boot_seed, boots);
}

bool hal_uart_set_baud(uint32_t baud)
{
    for (uint32_t i = 0; bauds[i] != 0; i++) {
        if (bauds[i] == baud) {
            REG32(UART_BAUDRATE) = dividers[i];
            return true;
        }
    }
    return false;
}

/* The pin is an output only from the first blink on: without IDENTIFY it is free for other uses. */
void hal_led(bool on)
{
    bool high = on == (bool)LED_LIT_HIGH;
    REG32(GPIO(LED_PIN) + (high ? 0x508 : 0x50C)) = 1U << LED_PIN % 32; /* OUTSET, OUTCLR */
    REG32(PIN_CNF(LED_PIN)) = PIN_OUTPUT;
}

bool uart_hw_tx_ready(void)
{
    if (sending && REG32(UART_TXDRDY) != 0) {
        REG32(UART_TXDRDY) = 0;
        sending = false;
    }
    return !sending;
}

void uart_hw_tx(uint8_t byte)
{
    sending = true;
    REG32(UART_TXD) = byte;
}

void uart_hw_tx_interrupt(bool on)
{
    REG32(on ? UART_INTENSET : UART_INTENCLR) = INT_TXDRDY;
}

extern uint32_t link_stack_high[];
__attribute__((section(".vectors"), used)) vector *const tlep_vectors[16 + IRQ_TIMER + 1] = {
    [0] = (vector *)link_stack_high,
    [1] = tlep_reset_handler,
    [2 ... 15] = tlep_fault_handler,
    [16 ... 16 + IRQ_UART - 1] = tlep_fault_handler,
    [16 + IRQ_UART] = uart_handler,
    [16 + IRQ_UART + 1 ... 16 + IRQ_TIMER - 1] = tlep_fault_handler,
    [16 + IRQ_TIMER] = timer_handler,
};
