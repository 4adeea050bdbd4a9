/* STM32L4 at its full speed: the ST-Link's serial port, TIM2 as the clock, the model slot in its
 * own flash.
 *
 * The same image runs on silicon and on QEMU's b-l475e-iot01a, which has the clock tree, the pins
 * and the UART, and neither TIM2 nor a cycle counter that counts.
 *
 * Not here: the ADC's temperature sensor, whose calibration could not be checked without silicon. */
#include "platform/hal.h"

#include "chip_id.h"
#include "clocks.h"
#include "family.h"
#include "pins.h"
#include "regions.h"
#include "ticks.h"
#include "tim2.h"
#include "uart.h"

/* LPUART1 has USART1's registers, and another divider. */
#define UART (UART_IS_LPUART1 ? 0x40008000U : 0x40013800U)
#define UART_CR1 UART
#define UART_BRR (UART + 0x0C)
#define UART_ISR (UART + 0x1C)
#define UART_ICR (UART + 0x20)
#define UART_RDR (UART + 0x24)
#define UART_TDR (UART + 0x28)
#define IDENTITY (0x20000000U + SRAM_KIB * 1024U - 32U)
#define FLASH_BASE 0x08000000U
#define SLOT_BASE 0x08010000U
#define SRAM2_BASE 0x10000000U

enum {
    IRQ_UART = UART_IS_LPUART1 ? 70 : 37,
    FLASH_BYTES = FLASH_KIB * 1024,
    SRAM2_BYTES = SRAM2_KIB * 1024,
    DEFAULT_BAUD = 115200,
    PORT_G = 6,
    PWR_PORT_G = 1 << 9, /* CR2: IOSV, its supply is there */
};
enum {
    ISR_ORE = 1 << 3,
    ISR_RXNE = 1 << 5,
    ISR_TC = 1 << 6,
    ISR_TXE = 1 << 7,
    CR1_TXEIE = 1 << 7,
    CR1_ON = 0x2D /* UE RXNEIE TE RE */
};

static const uint32_t bauds[] = {115200, 230400, 460800, 921600, 0};
static tlep_board board;
static tlep_clocks clocks;
static uint32_t boot_seed;
static uint32_t boots __attribute__((section(".noinit")));

static void start_uart(void)
{
    if (UART_IS_LPUART1) {
        REG32(RCC_APB1ENR2) |= 1U;
    } else {
        REG32(RCC_APB2ENR) |= 1U << 14;
    }
    if (TX_PIN / 16 == PORT_G) {
        REG32(PWR_CR2) |= PWR_PORT_G;
    }
    pin_to_peripheral(TX_PIN, UART_FUNCTION);
    pin_to_peripheral(RX_PIN, UART_FUNCTION);
    (void)hal_uart_set_baud(DEFAULT_BAUD);
    tlep_irq_enable(IRQ_UART);
}

static void list_regions(void)
{
    board.regions[0] = tlep_models_region("sram", SRAM_KIB * 1024);
    board.regions[1] = tlep_slot_region("flash", SLOT_BASE,
                                        FLASH_BASE + FLASH_BYTES - SLOT_BASE, FLASH_BYTES);
    board.regions[2] = (tlep_region){.name = "sram2",
                                     .kind = TLEP_REGION_RAM,
                                     .base = (uint8_t *)SRAM2_BASE,
                                     .size = SRAM2_BYTES,
                                     .total = SRAM2_BYTES};
    board.n_regions = SRAM2_BYTES != 0 ? 3 : 2;
}

const tlep_board *hal_init(void)
{
    bool counts = tlep_cycle_counter_start();
    bool silicon = chip_id_read(IDENTITY, counts, &board, &boot_seed);
    clocks = clocks_start();
    boots++; /* .noinit: survives a reset, and is noise after power-on */
    board.platform = PLATFORM;
    board.toolchain = "arm-none-eabi-gcc " __VERSION__;
    board.timer_name = !counts ? "SysTick" : clocks.has_crystal ? "TIM2" : "TIM2 (no LSE)";
    board.timer_hz = ticks_start(counts, clocks.hz);
    board.clock_hz = clocks.hz;
    board.bauds = bauds;
    board.rx_window = TLEP_RX_WINDOW;
    board.emulated = !silicon;
    board.cycle_counter = counts;
    board.led = silicon;
    list_regions();
    start_uart();
    return &board;
}

uint32_t hal_boot_id(void)
{
    return tlep_boot_id(boot_seed, boots);
}

/* A rate that the divider misses by more than 1.5 % is none: at MSI's 4 MHz, the fast ones. BRR can
 * be written while the UART is off only. */
bool hal_uart_set_baud(uint32_t baud)
{
    uint64_t clock = (UART_IS_LPUART1 ? 256ULL : 1ULL) * clocks.hz;
    uint32_t divider = (uint32_t)((clock + baud / 2) / baud);
    uint64_t made_x200 = 200 * clock / divider;
    if (made_x200 > 203ULL * baud || made_x200 < 197ULL * baud) {
        return false;
    }
    REG32(UART_CR1) = 0;
    REG32(UART_BRR) = divider;
    REG32(UART_CR1) = CR1_ON;
    return true;
}

/* The pin is an output only from the first blink on: without IDENTIFY it is free for other uses. */
void hal_led(bool on)
{
    pin_on(LED_PIN);
    pin_write(LED_PIN, on);
    pin_mode(LED_PIN, PIN_OUTPUT);
}

bool uart_hw_tx_ready(void)
{
    return (REG32(UART_ISR) & ISR_TXE) != 0;
}

bool uart_hw_tx_done(void)
{
    return (REG32(UART_ISR) & ISR_TC) != 0;
}

void uart_hw_tx(uint8_t byte)
{
    REG32(UART_TDR) = byte;
}

void uart_hw_tx_interrupt(bool on)
{
    REG32(UART_CR1) = on ? CR1_ON | CR1_TXEIE : CR1_ON;
}

static void uart_handler(void)
{
    if ((REG32(UART_ISR) & ISR_ORE) != 0) {
        REG32(UART_ICR) = ISR_ORE;
        tlep_uart_lost();
    }
    while ((REG32(UART_ISR) & ISR_RXNE) != 0) {
        tlep_uart_received((uint8_t)REG32(UART_RDR));
    }
    tlep_uart_pump();
}

extern uint32_t link_stack_high[];
__attribute__((section(".vectors"), used)) vector *const tlep_vectors[16 + IRQ_UART + 1] = {
    [0] = (vector *)link_stack_high,
    [1] = tlep_reset_handler,
    [2 ... 14] = tlep_fault_handler,
    [15] = ticks_handler, /* SysTick */
    [16 ... 16 + IRQ_TIM2 - 1] = tlep_fault_handler,
    [16 + IRQ_TIM2] = ticks_handler,
    [16 + IRQ_TIM2 + 1 ... 16 + IRQ_UART - 1] = tlep_fault_handler,
    [16 + IRQ_UART] = uart_handler,
};
