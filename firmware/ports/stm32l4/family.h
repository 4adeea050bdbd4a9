/* Registers that more than one file of this port touches (RM0351; RM0432 has the same where this
 * port looks). The definitions in capitals come from boards.txt. */
#ifndef TLEP_FAMILY_H
#define TLEP_FAMILY_H

#include "cortex_m.h"

#define RCC 0x40021000U
#define RCC_APB1ENR1 (RCC + 0x58)
#define RCC_APB1ENR2 (RCC + 0x5C)
#define RCC_APB2ENR (RCC + 0x60)
#define TIM2_CLOCK RCC_APB1ENR1
#define UNIQUE_ID 0x1FFF7590U
#define GPIO_BASE 0x48000000U
#define GPIO_CLOCKS (RCC + 0x4C) /* AHB2ENR */
#define PWR_CR1 0x40007000U
#define PWR_CR2 0x40007004U

enum { CORE_HZ = CORE_MHZ * 1000000, MSI_HZ = 4000000 };

#endif
