#include "clocks.h"

#include "family.h"

#define RCC_CR RCC
#define RCC_CFGR (RCC + 0x08)
#define RCC_PLLCFGR (RCC + 0x0C)
#define RCC_BDCR (RCC + 0x90)
#define PWR_CR5 0x40007080U
#define FLASH_ACR 0x40022000U

/* RCC_CR, RCC_CFGR, RCC_PLLCFGR, RCC_BDCR; PWR_CR1, PWR_CR5; FLASH_ACR. */
enum {
    CR_MSIPLLEN = 1 << 2,
    CR_PLLON = 1 << 24,
    CR_PLLRDY = 1 << 25,
    CFGR_FROM_PLL = 3,
    CFGR_STATUS = 3 << 2,
    CFGR_STATUS_PLL = 3 << 2,
    CFGR_AHB_HALVED = 8 << 4,
    PLLCFGR_FROM_MSI = 1,
    PLLCFGR_R_ON = 1 << 24, /* R divides by 2 */
    BDCR_LSEON = 1 << 0,
    BDCR_LSERDY = 1 << 1,
    APB1ENR1_PWR = 1 << 28,
    CR1_BACKUP_WRITABLE = 1 << 8,
    CR5_R1MODE = 1 << 8, /* no boost */
    ACR_PREFETCH_AND_CACHES = 7 << 8,
    ACCESS_TRIES = 100, /* the register does not exist under QEMU */
    READY_TRIES = 100000,
    CRYSTAL_TRIES = 2000000, /* five seconds at 4 MHz; after power-on a crystal takes up to two */
};

static bool wait_for(uint32_t address, uint32_t mask, uint32_t value, uint32_t tries)
{
    for (uint32_t i = 0; i < tries; i++) {
        if ((REG32(address) & mask) == value) {
            return true;
        }
    }
    return false;
}

/* MSI by itself is a percent off; held to the crystal of 32768 Hz it is as exact as that. */
static bool hold_msi_to_crystal(void)
{
    REG32(RCC_APB1ENR1) |= APB1ENR1_PWR;
    REG32(PWR_CR1) |= CR1_BACKUP_WRITABLE;
    REG32(RCC_BDCR) |= BDCR_LSEON;
    if (!wait_for(RCC_BDCR, BDCR_LSERDY, BDCR_LSERDY, CRYSTAL_TRIES)) {
        return false;
    }
    REG32(RCC_CR) |= CR_MSIPLLEN;
    return true;
}

static bool start_pll(void)
{
    if (BOOST) {
        REG32(PWR_CR5) &= ~(uint32_t)CR5_R1MODE;
    }
    REG32(RCC_PLLCFGR) = PLLCFGR_FROM_MSI | PLL_N << 8 | PLLCFGR_R_ON;
    REG32(RCC_CR) |= CR_PLLON;
    if (!wait_for(RCC_CR, CR_PLLRDY, CR_PLLRDY, READY_TRIES)) {
        return false;
    }
    REG32(FLASH_ACR) = FLASH_WAIT_STATES | ACR_PREFETCH_AND_CACHES;
    (void)wait_for(FLASH_ACR, 0xF, FLASH_WAIT_STATES, ACCESS_TRIES);
    /* Above 80 MHz the step is taken in two, a microsecond apart. */
    REG32(RCC_CFGR) = BOOST ? CFGR_AHB_HALVED | CFGR_FROM_PLL : CFGR_FROM_PLL;
    bool switched = wait_for(RCC_CFGR, CFGR_STATUS, CFGR_STATUS_PLL, READY_TRIES);
    for (volatile uint32_t i = 0; i < CORE_MHZ; i++) {
    }
    REG32(RCC_CFGR) = CFGR_FROM_PLL;
    return switched;
}

tlep_clocks clocks_start(void)
{
    bool has_crystal = hold_msi_to_crystal();
    return (tlep_clocks){.hz = start_pll() ? CORE_HZ : MSI_HZ, .has_crystal = has_crystal};
}
