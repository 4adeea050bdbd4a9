/* STM32F405 at 168 MHz: USART1 on PA9/PA10, TIM2 as the clock, the model slot in its own flash.
 *
 * The same image runs on silicon and on QEMU's netduinoplus2, which has no RCC and whose TIM2 ticks
 * at 1 GHz: loops on ready flags have an end, and the timer's rate follows from whether the cycle
 * counter counts. The ADC's temperature sensor needs a calibration that we could not check. */
#include "platform/hal.h"

#include <string.h>

#include "clock.h"
#include "cortex_m.h"
#include "identity.h"
#include "irq.h"
#include "regions.h"
#include "uart.h"

#define RCC 0x40023800U
#define FLASH_ACR 0x40023C00U
#define PWR_CR 0x40007000U
#define GPIOA 0x40020000U
#define GPIOC 0x40020800U
#define USART1 0x40011000U
#define TIM2 0x40000000U
#define UNIQUE_ID 0x1FFF7A10U
#define IDENTITY 0x2001FFE0U
#define FLASH_BASE 0x08000000U
#define SLOT_BASE 0x0800C000U
#define CCM_BASE 0x10000000U

enum {
    APB2_HZ = 84000000,
    TIMER_HZ = 84000000, /* APB1 timers run at twice 42 MHz */
    /* QEMU clocks TIM2 at 1 GHz; divided to one tick an instruction (icount shift=3: 8 ns), equal
     * work is equal ticks */
    QEMU_PRESCALER = 8,
    QEMU_TIMER_HZ = 1000000000 / QEMU_PRESCALER,
    FLASH_BYTES = 1024 * 1024,
    CCM_BYTES = 64 * 1024,
    DEFAULT_BAUD = 115200,
    IRQ_TIM2 = 28,
    IRQ_USART1 = 37,
    READY_TRIES = 100000,
    UID_BYTES = 12,
    /* The Olimex STM32-H405's, lit when low. The Netduino Plus 2's hangs on PA10, which is our
     * receive pin. */
    LED_PIN = 12,
};
enum {
    SR_RXNE = 1 << 5,
    SR_TXE = 1 << 7,
    SR_ORE = 1 << 3,
    CR1_TXEIE = 1 << 7,
    CR1_ON = 0x202C /* UE RXNEIE TE RE */
};

static const uint32_t bauds[] = {115200, 230400, 460800, 921600, 0};
static tlep_board board;
static tlep_clock clock;
static uint32_t boot_seed;
static uint32_t boots __attribute__((section(".noinit")));

static bool wait_for(uint32_t address, uint32_t mask, uint32_t value)
{
    for (uint32_t i = 0; i < READY_TRIES; i++) {
        if ((REG32(address) & mask) == value) {
            return true;
        }
    }
    return false;
}

/* HSE 8 MHz -> PLL 168 MHz; AHB 168, APB1 42, APB2 84 (RM0090, 7.3). */
static void start_clocks(void)
{
    REG32(RCC + 0x40) |= 1U << 28; /* PWREN */
    REG32(PWR_CR) |= 3U << 14;     /* voltage scale 1 */
    REG32(RCC) |= 1U << 16;        /* HSEON */
    if (!wait_for(RCC, 1U << 17, 1U << 17)) {
        return; /* no crystal, or no RCC: stay on the internal 16 MHz */
    }
    /* M 8, N 336, P 2, source HSE, Q 7 */
    REG32(RCC + 0x04) = 8U | 336U << 6 | 0U << 16 | 1U << 22 | 7U << 24;
    REG32(RCC) |= 1U << 24;                                              /* PLLON */
    if (!wait_for(RCC, 1U << 25, 1U << 25)) {
        return;
    }
    REG32(FLASH_ACR) = 5U | 7U << 8;             /* 5 wait states; prefetch, both caches */
    REG32(RCC + 0x08) = 5U << 10 | 4U << 13;     /* APB1 /4, APB2 /2 */
    REG32(RCC + 0x08) |= 2U;                     /* system clock from the PLL */
    (void)wait_for(RCC + 0x08, 3U << 2, 2U << 2);
}

static void start_uart(void)
{
    REG32(RCC + 0x30) |= 1U;                                               /* GPIOA */
    REG32(RCC + 0x44) |= 1U << 4;                                          /* USART1 */
    /* PA9, PA10: alternate function */
    REG32(GPIOA) = (REG32(GPIOA) & ~(0xFU << 18)) | 0xAU << 18;
    REG32(GPIOA + 0x24) = (REG32(GPIOA + 0x24) & ~(0xFFU << 4)) | 0x77U << 4; /* AF7 */
    (void)hal_uart_set_baud(DEFAULT_BAUD);
    REG32(USART1 + 0x0C) = CR1_ON;
    tlep_irq_enable(IRQ_USART1);
}

static void start_timer(bool counts)
{
    REG32(RCC + 0x40) |= 1U; /* TIM2 */
    REG32(TIM2 + 0x28) = counts ? 0 : QEMU_PRESCALER - 1;
    REG32(TIM2 + 0x2C) = 0xFFFFFFFF;
    REG32(TIM2 + 0x14) = 1; /* UG: take the prescaler now */
    REG32(TIM2) = 1;
    tlep_irq_enable(IRQ_TIM2);
}

const tlep_board *hal_init(void)
{
    bool counts = tlep_cycle_counter_start();
    bool silicon = !tlep_identity_read(IDENTITY, &board, &boot_seed) && counts;
    start_clocks();
    start_timer(counts);
    if (silicon) {
        board.uid_bytes = UID_BYTES;
        memcpy(board.uid, (const void *)UNIQUE_ID, UID_BYTES);
        memcpy(&boot_seed, board.uid + 4, sizeof boot_seed);
    }
    boots++; /* .noinit: survives a reset, and is noise after power-on */
    board.platform = "stm32f405";
    board.toolchain = "arm-none-eabi-gcc " __VERSION__;
    board.timer_name = "TIM2";
    board.timer_hz = counts ? TIMER_HZ : QEMU_TIMER_HZ;
    board.clock_hz = 168000000;
    board.bauds = bauds;
    board.rx_window = TLEP_RX_WINDOW;
    board.emulated = !silicon;
    board.cycle_counter = counts;
    board.led = silicon;
    board.regions[0] = tlep_models_region("sram", 128 * 1024);
    board.regions[1] = tlep_slot_region("flash", SLOT_BASE,
                                        FLASH_BASE + FLASH_BYTES - SLOT_BASE, FLASH_BYTES);
    board.regions[2] = (tlep_region){.name = "ccm",
                                     .kind = TLEP_REGION_RAM,
                                     .base = (uint8_t *)CCM_BASE,
                                     .size = CCM_BYTES,
                                     .total = CCM_BYTES};
    board.n_regions = silicon ? 3 : 2; /* QEMU has no CCM */
    start_uart();
    return &board;
}

uint64_t hal_ticks(void)
{
    return tlep_clock_ticks(&clock, REG32(TIM2 + 0x24));
}

/* The counter wraps within a minute: asleep, its overflow wakes the core to take note; awake, every
 * look does. */
void hal_hw_sleep(bool sleeping)
{
    REG32(TIM2 + 0x10) = 0;
    REG32(TIM2 + 0x0C) = sleeping ? 1 : 0;
    (void)hal_ticks();
}

static void tim2_handler(void)
{
    REG32(TIM2 + 0x10) = 0;
}

uint32_t hal_boot_id(void)
{
    return tlep_boot_id(boot_seed, boots);
}

bool hal_uart_set_baud(uint32_t baud)
{
    REG32(USART1 + 0x08) = (APB2_HZ + baud / 2) / baud;
    return true;
}

/* The pin is an output only from the first blink on: without IDENTIFY it is free for other uses. */
void hal_led(bool on)
{
    REG32(RCC + 0x30) |= 1U << 2;                                    /* GPIOC */
    REG32(GPIOC + 0x18) = 1U << (on ? LED_PIN + 16 : LED_PIN);       /* low is lit */
    REG32(GPIOC) = (REG32(GPIOC) & ~(3U << 2 * LED_PIN)) | 1U << 2 * LED_PIN;
}

bool uart_hw_tx_ready(void)
{
    return (REG32(USART1) & SR_TXE) != 0;
}

void uart_hw_tx(uint8_t byte)
{
    REG32(USART1 + 0x04) = byte;
}

void uart_hw_tx_interrupt(bool on)
{
    REG32(USART1 + 0x0C) = on ? CR1_ON | CR1_TXEIE : CR1_ON;
}

static void usart1_handler(void)
{
    while ((REG32(USART1) & (SR_RXNE | SR_ORE)) != 0) { /* reading DR after SR clears both */
        tlep_uart_received((uint8_t)REG32(USART1 + 0x04));
    }
    tlep_uart_pump();
}

extern uint32_t link_stack_high[];
__attribute__((section(".vectors"), used)) vector *const tlep_vectors[16 + IRQ_USART1 + 1] = {
    [0] = (vector *)link_stack_high,
    [1] = tlep_reset_handler,
    [2 ... 15] = tlep_fault_handler,
    [16 ... 16 + IRQ_TIM2 - 1] = tlep_fault_handler,
    [16 + IRQ_TIM2] = tim2_handler,
    [16 + IRQ_TIM2 + 1 ... 16 + IRQ_USART1 - 1] = tlep_fault_handler,
    [16 + IRQ_USART1] = usart1_handler,
};
