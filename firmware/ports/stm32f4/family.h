/* Registers that more than one file of this port touches (RM0090; RM0383 and RM0390 have the same
 * where this port looks), and the definitions that CMake makes from boards.txt and chips.txt. */
#ifndef TLEP_FAMILY_H
#define TLEP_FAMILY_H

#include "cortex_m.h"

#define RCC 0x40023800U
#define GPIO_BASE 0x40020000U
#define GPIO_CLOCKS (RCC + 0x30) /* AHB1ENR */
#define RCC_APB1ENR (RCC + 0x40)
#define RCC_APB2ENR (RCC + 0x44)
#define TIM2_CLOCK RCC_APB1ENR
#define UNIQUE_ID 0x1FFF7A10U

enum {
    CORE_HZ = CORE_MHZ * 1000000,
    HSI_HZ = 16000000,
};

#endif
