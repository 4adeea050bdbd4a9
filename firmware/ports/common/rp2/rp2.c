#include "rp2.h"

#include "cortex_m.h"
#include "identity.h"
#include "platform/hal.h"
#include "rp2_chip.h"
#include "uart.h"

/* Each register has aliases that set or clear bits in one write (datasheets, 2.1.2 and 2.1.3). */
#define ALIAS_SET 0x2000U
#define ALIAS_CLEAR 0x3000U

#define CLK_REF_CTRL (RP2_CLOCKS + 0x30)
#define CLK_REF_DIV (RP2_CLOCKS + 0x34)
#define CLK_REF_SELECTED (RP2_CLOCKS + 0x38)
#define CLK_SYS_CTRL (RP2_CLOCKS + 0x3C)
#define CLK_SYS_DIV (RP2_CLOCKS + 0x40)
#define CLK_SYS_SELECTED (RP2_CLOCKS + 0x44)
#define CLK_PERI_CTRL (RP2_CLOCKS + 0x48)
#define RESET_DONE (RP2_RESETS + 0x08)
#define XOSC_CTRL RP2_XOSC
#define XOSC_STATUS (RP2_XOSC + 0x04)
#define XOSC_STARTUP (RP2_XOSC + 0x0C)
#define PLL_CS RP2_PLL_SYS
#define PLL_PWR (RP2_PLL_SYS + 0x04)
#define PLL_FBDIV (RP2_PLL_SYS + 0x08)
#define PLL_PRIM (RP2_PLL_SYS + 0x0C)
#define WATCHDOG_CTRL RP2_WATCHDOG
/* A restart leaves it and power-on clears it; the ROMs use only higher ones. */
#define WATCHDOG_SCRATCH0 (RP2_WATCHDOG + 0x0C)
#define WATCHDOG_SCRATCH4 (RP2_WATCHDOG + 0x1C)
#define PSM_WDSEL (RP2_PSM + 0x08)
#define UART_DR RP2_UART0
#define UART_FR (RP2_UART0 + 0x18)
#define UART_IBRD (RP2_UART0 + 0x24)
#define UART_FBRD (RP2_UART0 + 0x28)
#define UART_LCR_H (RP2_UART0 + 0x2C)
#define UART_CR (RP2_UART0 + 0x30)
#define UART_IMSC (RP2_UART0 + 0x38)

enum {
    READY_TRIES = 100000, /* 80 ms or more: the core starts at 12 MHz at most */
    XOSC_1_TO_15_MHZ = 0xAA0,
    XOSC_ENABLE = 0xFAB << 12,
    XOSC_STARTUP_DELAY = 938, /* 20 ms, in 256 periods: any crystal's time */
    PLL_PWR_PD = 1 << 0,
    PLL_PWR_POSTDIVPD = 1 << 3,
    PLL_PWR_VCOPD = 1 << 5,
    CLK_REF_FROM_RING = 0,
    CLK_REF_FROM_CRYSTAL = 2,
    CLK_SYS_FROM_REF = 0,
    CLK_SYS_FROM_PLL = 1, /* through the auxiliary multiplexer, whose input 0 is PLL_SYS */
    CLK_PERI_ENABLE = 1 << 11, /* its input 0 is the system clock */
    PIN_TX = 0,
    PIN_RX = 1,
    PIN_LED = 25,
    FUNCTION_UART = 2,
    FUNCTION_SIO = 5,
    PAD_OUT = 0x12,         /* 4 mA, Schmitt trigger */
    PAD_IN_PULLED_UP = 0x5A /* and input enabled: an open line is an idle line */
};
enum {
    FR_BUSY = 1 << 3,
    FR_RXFE = 1 << 4,
    FR_TXFF = 1 << 5,
    DR_OVERRUN = 1 << 11,
    LCR_8_BITS_FIFO = 0x70,
    CR_ON = 0x301 /* UARTEN TXE RXE */,
    IMSC_ON = 1 << 4 | 1 << 6, /* half a FIFO received, or something waits for 32 bits' time */
    IMSC_TX = 1 << 5,
};

static uint32_t boot_id;

const uint32_t rp2_bauds[] = {115200, 230400, 460800, 921600, 0};

static void wait_for(uint32_t address, uint32_t mask, uint32_t value)
{
    for (uint32_t i = 0; i < READY_TRIES && (REG32(address) & mask) != value; i++) {
    }
}

void rp2_restart_blocks(uint32_t bits)
{
    REG32(RP2_RESETS + ALIAS_SET) = bits;
    REG32(RP2_RESETS + ALIAS_CLEAR) = bits;
    wait_for(RESET_DONE, bits, bits);
}

void rp2_start_clocks(void)
{
    REG32(RP2_RESUS_CTRL) = 0; /* a debugger's last program may have left it on */
    REG32(XOSC_CTRL) = XOSC_1_TO_15_MHZ;
    REG32(XOSC_STARTUP) = XOSC_STARTUP_DELAY;
    REG32(XOSC_CTRL + ALIAS_SET) = XOSC_ENABLE;
    wait_for(XOSC_STATUS, 1U << 31, 1U << 31);

    /* Off the PLL, before it is restarted; and undivided, whatever the boot ROM needed. */
    REG32(CLK_SYS_CTRL + ALIAS_CLEAR) = 1;
    wait_for(CLK_SYS_SELECTED, 3, 1U << CLK_SYS_FROM_REF);
    REG32(CLK_REF_CTRL + ALIAS_CLEAR) = 3;
    wait_for(CLK_REF_SELECTED, 0xF, 1U << CLK_REF_FROM_RING);
    REG32(CLK_SYS_DIV) = RP2_CLK_UNDIVIDED;
    REG32(CLK_REF_DIV) = RP2_CLK_UNDIVIDED;

    rp2_restart_blocks(RP2_RESET_PLL_SYS);
    REG32(PLL_CS) = 1; /* the crystal undivided */
    REG32(PLL_FBDIV) = RP2_PLL_FEEDBACK;
    REG32(PLL_PWR + ALIAS_CLEAR) = PLL_PWR_PD | PLL_PWR_VCOPD;
    wait_for(PLL_CS, 1U << 31, 1U << 31);
    REG32(PLL_PRIM) = (uint32_t)RP2_PLL_POST1 << 16 | (uint32_t)RP2_PLL_POST2 << 12;
    REG32(PLL_PWR + ALIAS_CLEAR) = PLL_PWR_POSTDIVPD;

    REG32(CLK_REF_CTRL) = CLK_REF_FROM_CRYSTAL;
    wait_for(CLK_REF_SELECTED, 0xF, 1U << CLK_REF_FROM_CRYSTAL);
    REG32(CLK_SYS_CTRL) = CLK_SYS_FROM_REF; /* chooses the PLL behind it while it is not used */
    REG32(CLK_SYS_CTRL) = CLK_SYS_FROM_PLL;
    wait_for(CLK_SYS_SELECTED, 3, 1U << CLK_SYS_FROM_PLL);
    REG32(CLK_PERI_CTRL) = CLK_PERI_ENABLE;
}

/* The unlatched halves: the latched pair would be spoilt by a look from an interrupt. */
uint64_t hal_ticks(void)
{
    uint32_t high, low;
    do { /* again when the low half has wrapped between the looks */
        high = REG32(RP2_TIMER_RAWH);
        low = REG32(RP2_TIMER_RAWL);
    } while (REG32(RP2_TIMER_RAWH) != high);
    return (uint64_t)high << 32 | low;
}

/* The pad last: on the RP2350 that write also ends its isolation from the function. */
static void connect(uint32_t pin, uint32_t function, uint32_t pad)
{
    REG32(RP2_IO_BANK0 + 8 * pin + 4) = function;
    REG32(RP2_PADS_BANK0 + 4 * pin + 4) = pad;
}

void rp2_start_uart(void)
{
    rp2_restart_blocks(RP2_RESET_IO_BANK0 | RP2_RESET_PADS_BANK0 | RP2_RESET_UART0);
    (void)hal_uart_set_baud(rp2_bauds[0]);
    REG32(UART_IMSC) = IMSC_ON;
    connect(PIN_TX, FUNCTION_UART, PAD_OUT);
    connect(PIN_RX, FUNCTION_UART, PAD_IN_PULLED_UP);
}

bool hal_uart_set_baud(uint32_t baud)
{
    uint32_t sixty_fourths = (4U * RP2_CLOCK_HZ + baud / 2) / baud; /* of 16 clocks a bit */
    REG32(UART_CR) = 0;
    REG32(UART_IBRD) = sixty_fourths / 64;
    REG32(UART_FBRD) = sixty_fourths % 64;
    REG32(UART_LCR_H) = LCR_8_BITS_FIFO; /* this write takes the divisor over */
    REG32(UART_CR) = CR_ON;
    return true;
}

bool uart_hw_tx_ready(void)
{
    return (REG32(UART_FR) & FR_TXFF) == 0;
}

bool uart_hw_tx_done(void)
{
    return (REG32(UART_FR) & FR_BUSY) == 0;
}

void uart_hw_tx(uint8_t byte)
{
    REG32(UART_DR) = byte;
}

void uart_hw_tx_interrupt(bool on)
{
    REG32(UART_IMSC) = on ? IMSC_ON | IMSC_TX : IMSC_ON;
}

void rp2_uart0_handler(void)
{
    while ((REG32(UART_FR) & FR_RXFE) == 0) { /* emptied, it asks no more */
        uint32_t received = REG32(UART_DR);
        if ((received & DR_OVERRUN) != 0) {
            tlep_uart_lost(); /* before this byte */
        }
        tlep_uart_received((uint8_t)received);
    }
    tlep_uart_pump();
}

/* The pin is an output only from the first blink on: without IDENTIFY it is free for other uses. */
void hal_led(bool on)
{
    REG32(on ? RP2_SIO_OUT_SET : RP2_SIO_OUT_CLR) = 1U << PIN_LED;
    REG32(RP2_SIO_OE_SET) = 1U << PIN_LED;
    connect(PIN_LED, FUNCTION_SIO, PAD_OUT);
}

/* By the watchdog, which restarts all but the oscillators and comes back through the boot ROM as at
 * power-on. The core's own reset request would leave the clocks and the peripherals as they are. */
void hal_reset(void)
{
    REG32(WATCHDOG_SCRATCH4) = 0; /* no other program to boot into than the one in flash */
    REG32(PSM_WDSEL) = RP2_PSM_ALL_BUT_OSCILLATORS;
    REG32(WATCHDOG_CTRL) = 1U << 31; /* TRIGGER */
    for (;;) {
    }
}

static uint32_t random_word(void)
{
    uint32_t word = 0;
    for (uint32_t i = 0; i < 32; i++) {
        for (volatile uint32_t apart = 0; apart < 16; apart++) {
        }
        word = word << 1 | (REG32(RP2_ROSC_RANDOMBIT) & 1);
    }
    return word;
}

void rp2_start_boot_id(uint32_t emulated_seed)
{
    REG32(WATCHDOG_SCRATCH0) += 1;
    boot_id = emulated_seed != 0 ? emulated_seed : random_word();
    boot_id = tlep_boot_id(boot_id, REG32(WATCHDOG_SCRATCH0));
}

uint32_t hal_boot_id(void)
{
    return boot_id;
}
