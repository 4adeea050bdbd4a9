#include "clocks.h"

#include "family.h"

#define RCC_PLLCFGR (RCC + 0x04)
#define RCC_CFGR (RCC + 0x08)
#define PWR_CR 0x40007000U
#define PWR_CSR 0x40007004U
#define FLASH_ACR 0x40023C00U

/* RCC_CR, RCC_PLLCFGR and RCC_CFGR; PWR_CR and PWR_CSR; FLASH_ACR. */
enum {
    CR_HSEON = 1 << 16,
    CR_HSERDY = 1 << 17,
    CR_HSEBYP = 1 << 18,
    CR_PLLON = 1 << 24,
    CR_PLLRDY = 1 << 25,
    PLLCFGR_FROM_HSE = 1 << 22,
    CFGR_FROM_PLL = 2,
    CFGR_STATUS = 3 << 2,
    CFGR_STATUS_PLL = 2 << 2,
    APB1ENR_PWR = 1 << 28,
    PWR_SCALE_1 = 3 << 14,
    PWR_OVERDRIVE = 1 << 16,
    PWR_OVERDRIVE_SWITCH = 1 << 17,
    ACR_PREFETCH_AND_CACHES = 7 << 8,
    READY_TRIES = 100000,
};

static bool wait_for(uint32_t address, uint32_t mask, uint32_t value)
{
    for (uint32_t i = 0; i < READY_TRIES; i++) {
        if ((REG32(address) & mask) == value) {
            return true;
        }
    }
    return false;
}

/* The bits that mean a division by 1, 2 or 4 in RCC_CFGR's PPRE1 and PPRE2. */
static uint32_t divider_bits(uint32_t divider)
{
    return divider == 1 ? 0 : divider == 2 ? 4 : 5;
}

/* Above 168 MHz: the regulator's over-drive, which is switched on between the PLL's start and its
 * first use. */
static bool start_overdrive(void)
{
    REG32(PWR_CR) |= PWR_OVERDRIVE;
    if (!wait_for(PWR_CSR, PWR_OVERDRIVE, PWR_OVERDRIVE)) {
        return false;
    }
    REG32(PWR_CR) |= PWR_OVERDRIVE_SWITCH;
    return wait_for(PWR_CSR, PWR_OVERDRIVE_SWITCH, PWR_OVERDRIVE_SWITCH);
}

static bool start_pll(void)
{
    REG32(RCC_APB1ENR) |= APB1ENR_PWR;
    REG32(PWR_CR) |= PWR_SCALE_1;
    REG32(RCC) |= HSE_BYPASS ? CR_HSEBYP : 0; /* to be set before the oscillator is on */
    REG32(RCC) |= CR_HSEON;
    if (!wait_for(RCC, CR_HSERDY, CR_HSERDY)) {
        return false;
    }
    REG32(RCC_PLLCFGR) =
        HSE_MHZ | PLL_N << 6 | (PLL_P / 2 - 1) << 16 | PLLCFGR_FROM_HSE | PLL_Q << 24;
    REG32(RCC) |= CR_PLLON;
    if (!wait_for(RCC, CR_PLLRDY, CR_PLLRDY) || (OVERDRIVE && !start_overdrive())) {
        return false;
    }
    REG32(FLASH_ACR) = FLASH_WAIT_STATES | ACR_PREFETCH_AND_CACHES;
    REG32(RCC_CFGR) = divider_bits(APB1_DIVIDER) << 10 | divider_bits(APB2_DIVIDER) << 13;
    REG32(RCC_CFGR) |= CFGR_FROM_PLL;
    return wait_for(RCC_CFGR, CFGR_STATUS, CFGR_STATUS_PLL);
}

bool clocks_start(tlep_clocks *clocks)
{
    if (start_pll()) {
        *clocks = (tlep_clocks){.core_hz = CORE_HZ,
                                .apb1_hz = CORE_HZ / APB1_DIVIDER,
                                .apb2_hz = CORE_HZ / APB2_DIVIDER,
                                .timer_hz = 2 * CORE_HZ / APB1_DIVIDER};
        return true;
    }
    REG32(RCC_CFGR) = 0; /* the internal oscillator, undivided */
    *clocks = (tlep_clocks){
        .core_hz = HSI_HZ, .apb1_hz = HSI_HZ, .apb2_hz = HSI_HZ, .timer_hz = HSI_HZ};
    return false;
}
