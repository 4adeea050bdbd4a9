#include "ticks.h"

#include "clock.h"
#include "family.h"
#include "platform/hal.h"
#include "tim2.h"
#include "uart.h"
#include "vernier.h"

#define SYSTICK_CSR 0xE000E010U
#define SYSTICK_RVR 0xE000E014U
#define SYSTICK_CVR 0xE000E018U

enum {
    CSR_ENABLE = 1 << 0,
    CSR_INTERRUPT = 1 << 1,
    SYSTICK_MAX = 0xFFFFFF,
    SYSTICK_DIVIDER = 8, /* of the core's clock, as the chip wires it */
    SPARE_BITS = 8,      /* of 32, that SysTick has not */
};

static tlep_clock clock;
static bool by_tim2;

uint32_t ticks_start(bool tim2, uint32_t core_hz)
{
    by_tim2 = tim2;
    if (!tim2) {
        REG32(SYSTICK_RVR) = SYSTICK_MAX;
        REG32(SYSTICK_CVR) = 0; /* any write clears it; it counts down from RVR */
        REG32(SYSTICK_CSR) = CSR_ENABLE;
        return core_hz / SYSTICK_DIVIDER;
    }
    tim2_start(1);
    return core_hz;
}

uint64_t hal_ticks(void)
{
    if (by_tim2) {
        return tlep_clock_ticks(&clock, tim2_count());
    }
    uint32_t up = (SYSTICK_MAX - REG32(SYSTICK_CVR)) << SPARE_BITS; /* wraps as 32 bits do */
    return tlep_clock_ticks(&clock, up) >> SPARE_BITS;
}

/* TIM2 is as fine as the core. SysTick is not: under QEMU an instruction takes 16 ns and a tick
 * 100 ns; 19 instructions are 3 ticks and 4 ns. */
void hal_align(void)
{
    if (!by_tim2) {
        tlep_vernier(SYSTICK_CVR, 12, 3);
    }
}

/* SysTick wraps within two seconds: as with TIM2, that wakes the core to take note. */
void hal_hw_sleep(bool sleeping)
{
    if (by_tim2) {
        tim2_wake(sleeping);
    } else {
        REG32(SYSTICK_CSR) = sleeping ? CSR_ENABLE | CSR_INTERRUPT : CSR_ENABLE;
    }
    (void)hal_ticks();
}

void ticks_handler(void)
{
    if (by_tim2) {
        tim2_woke();
    }
}
