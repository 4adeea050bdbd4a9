/* Pins as boards.txt names them: 16 for each port, and the pin. The family's header, family.h, says
 * where they are: GPIO_BASE, and GPIO_CLOCKS, the register of RCC that has a bit for each port. */
#ifndef TLEP_PINS_H
#define TLEP_PINS_H

#include <stdbool.h>
#include <stdint.h>

#include "family.h"

#define GPIO(pin) (GPIO_BASE + 0x400U * ((uint32_t)(pin) / 16))
enum { PIN_OUTPUT = 1, PIN_ALTERNATE = 2 };

static inline void pin_mode(uint32_t pin, uint32_t mode)
{
    uint32_t shift = 2 * (pin % 16);
    REG32(GPIO(pin)) = (REG32(GPIO(pin)) & ~(3U << shift)) | mode << shift;
}

static inline void pin_on(uint32_t pin)
{
    REG32(GPIO_CLOCKS) |= 1U << pin / 16;
}

static inline void pin_write(uint32_t pin, bool high)
{
    REG32(GPIO(pin) + 0x18) = 1U << (high ? pin % 16 : pin % 16 + 16);
}

/* Give the pin to a peripheral, pulled up: an input that nobody drives is then a quiet line. */
static inline void pin_to_peripheral(uint32_t pin, uint32_t function)
{
    uint32_t alternate = GPIO(pin) + 0x20 + 4 * (pin % 16 / 8), shift = 4 * (pin % 8);
    pin_on(pin);
    REG32(alternate) = (REG32(alternate) & ~(0xFU << shift)) | function << shift;
    REG32(GPIO(pin) + 0x0C) = (REG32(GPIO(pin) + 0x0C) & ~(3U << 2 * (pin % 16)))
                              | 1U << 2 * (pin % 16);
    pin_mode(pin, PIN_ALTERNATE);
}

#endif
