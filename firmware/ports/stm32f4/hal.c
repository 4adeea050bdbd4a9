/* STM32F4 at its full speed: the board's UART, TIM2 as the clock, the model slot in its own flash.
 *
 * The same image runs on silicon and on emulators, and none is asked: what is missing shows where.
 * - QEMU's netduinoplus2 has no RCC, and its cycle counter stands still; its TIM2 ticks at 1 GHz.
 * - labwired has RCC and PLL; it clocks TIM2 as fast as the core, has no unique id and no receive
 *   interrupt.
 * Both write an identity (identity.h); none has a CCM that we could rely on.
 *
 * Not here: hal_align, as TIM2 is as fine as the core; the ADC's temperature sensor, whose
 * calibration could not be checked without silicon. */
#include "platform/hal.h"

#include "chip_id.h"
#include "clock.h"
#include "clocks.h"
#include "family.h"
#include "irq.h"
#include "pins.h"
#include "regions.h"
#include "tim2.h"
#include "uart.h"

/* USART2 and 3 are on APB1, 1 and 6 on APB2. */
#define UART                                                                                       \
    (UART_NUMBER == 1   ? 0x40011000U                                                              \
     : UART_NUMBER == 6 ? 0x40011400U                                                              \
                        : 0x40004000U + 0x400U * (UART_NUMBER - 1))
#define UART_DR (UART + 0x04)
#define UART_BRR (UART + 0x08)
#define UART_CR1 (UART + 0x0C)
#define IDENTITY (0x20000000U + SRAM_KIB * 1024U - 32U)
#define FLASH_BASE 0x08000000U
#define SLOT_BASE 0x0800C000U
#define CCM_BASE 0x10000000U

enum {
    UART_ON_APB2 = UART_NUMBER == 1 || UART_NUMBER == 6,
    UART_ENABLE = UART_NUMBER == 1 ? 1 << 4 : UART_NUMBER == 6 ? 1 << 5 : 1 << (15 + UART_NUMBER),
    UART_FUNCTION = UART_NUMBER == 6 ? 8 : 7,
    IRQ_UART = UART_NUMBER == 6 ? 71 : 36 + UART_NUMBER,
    /* QEMU clocks TIM2 at 1 GHz; divided to a tick an instruction (icount shift=3: 8 ns), or two
     * (shift=4), equal work is equal ticks */
    QEMU_DIVIDER = 8,
    QEMU_TIMER_HZ = 1000000000 / QEMU_DIVIDER,
    FLASH_BYTES = FLASH_KIB * 1024,
    CCM_BYTES = CCM_KIB * 1024,
    DEFAULT_BAUD = 115200,
};
enum {
    SR_RXNE = 1 << 5,
    SR_TC = 1 << 6,
    SR_TXE = 1 << 7,
    SR_ORE = 1 << 3,
    CR1_TXEIE = 1 << 7,
    CR1_ON = 0x202C /* UE RXNEIE TE RE */
};

static const uint32_t bauds[] = {115200, 230400, 460800, 921600, 0};
static tlep_board board;
static tlep_clocks clocks;
static tlep_clock clock;
static uint32_t boot_seed;
static uint32_t boots __attribute__((section(".noinit")));

static void start_uart(void)
{
    REG32(UART_ON_APB2 ? RCC_APB2ENR : RCC_APB1ENR) |= UART_ENABLE;
    pin_to_peripheral(TX_PIN, UART_FUNCTION);
    pin_to_peripheral(RX_PIN, UART_FUNCTION);
    (void)hal_uart_set_baud(DEFAULT_BAUD);
    REG32(UART_CR1) = CR1_ON;
    tlep_irq_enable(IRQ_UART);
}

static void list_regions(bool silicon)
{
    board.regions[0] = tlep_models_region("sram", SRAM_KIB * 1024);
    board.regions[1] = tlep_slot_region("flash", SLOT_BASE,
                                        FLASH_BASE + FLASH_BYTES - SLOT_BASE, FLASH_BYTES);
    board.regions[2] = (tlep_region){.name = "ccm",
                                     .kind = TLEP_REGION_RAM,
                                     .base = (uint8_t *)CCM_BASE,
                                     .size = CCM_BYTES,
                                     .total = CCM_BYTES};
    board.n_regions = silicon && CCM_BYTES != 0 ? 3 : 2;
}

const tlep_board *hal_init(void)
{
    bool counts = tlep_cycle_counter_start();
    bool silicon = chip_id_read(IDENTITY, counts, &board, &boot_seed);
    bool full_speed = clocks_start(&clocks);
    tim2_start(counts ? 1 : QEMU_DIVIDER);
    boots++; /* .noinit: survives a reset, and is noise after power-on */
    board.platform = PLATFORM;
    board.toolchain = "arm-none-eabi-gcc " __VERSION__;
    if (silicon) {
        /* the internal oscillator is a percent off: the name says so, and the self-test may */
        board.timer_name = full_speed ? "TIM2" : "TIM2 (no HSE)";
        board.timer_hz = clocks.timer_hz;
        board.clock_hz = clocks.core_hz;
    } else {
        board.timer_name = "TIM2";
        board.timer_hz = counts ? CORE_HZ : QEMU_TIMER_HZ;
        board.clock_hz = CORE_HZ;
    }
    board.bauds = bauds;
    board.rx_window = TLEP_RX_WINDOW;
    board.emulated = !silicon;
    board.cycle_counter = counts;
    board.led = silicon;
    list_regions(silicon);
    start_uart();
    return &board;
}

uint64_t hal_ticks(void)
{
    return tlep_clock_ticks(&clock, tim2_count());
}

void hal_hw_sleep(bool sleeping)
{
    tim2_wake(sleeping);
    (void)hal_ticks();
}

static void tim2_handler(void)
{
    tim2_woke();
}

uint32_t hal_boot_id(void)
{
    return tlep_boot_id(boot_seed, boots);
}

/* A rate that the divider misses by more than 1.5 % is none: at the internal 16 MHz, the fastest. */
bool hal_uart_set_baud(uint32_t baud)
{
    uint32_t hz = UART_ON_APB2 ? clocks.apb2_hz : clocks.apb1_hz;
    uint32_t divider = (hz + baud / 2) / baud, made = hz / divider;
    if (made * 200ULL > baud * 203ULL || made * 200ULL < baud * 197ULL) {
        return false;
    }
    REG32(UART_BRR) = divider;
    return true;
}

/* The pin is an output only from the first blink on: without IDENTIFY it is free for other uses. */
void hal_led(bool on)
{
    pin_on(LED_PIN);
    pin_write(LED_PIN, on == (bool)LED_LIT_HIGH);
    pin_mode(LED_PIN, PIN_OUTPUT);
}

bool uart_hw_tx_ready(void)
{
    return (REG32(UART) & SR_TXE) != 0;
}

bool uart_hw_tx_done(void)
{
    return (REG32(UART) & SR_TC) != 0;
}

void uart_hw_tx(uint8_t byte)
{
    REG32(UART_DR) = byte;
}

void uart_hw_tx_interrupt(bool on)
{
    REG32(UART_CR1) = on ? CR1_ON | CR1_TXEIE : CR1_ON;
}

static void uart_handler(void)
{
    uint32_t status;
    while (((status = REG32(UART)) & (SR_RXNE | SR_ORE)) != 0) { /* DR after SR clears both */
        uint8_t byte = (uint8_t)REG32(UART_DR);
        if ((status & SR_RXNE) != 0) {
            tlep_uart_received(byte);
        }
        if ((status & SR_ORE) != 0) {
            tlep_uart_lost(); /* after this byte */
        }
    }
    tlep_uart_pump();
}

extern uint32_t link_stack_high[];
__attribute__((section(".vectors"), used)) vector *const tlep_vectors[16 + IRQ_UART + 1] = {
    [0] = (vector *)link_stack_high,
    [1] = tlep_reset_handler,
    [2 ... 15] = tlep_fault_handler,
    [16 ... 16 + IRQ_TIM2 - 1] = tlep_fault_handler,
    [16 + IRQ_TIM2] = tim2_handler,
    [16 + IRQ_TIM2 + 1 ... 16 + IRQ_UART - 1] = tlep_fault_handler,
    [16 + IRQ_UART] = uart_handler,
};
