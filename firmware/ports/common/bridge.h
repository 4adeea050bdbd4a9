/* Sleep on an emulator that has neither it nor a receive interrupt. Our bridge to the emulator
 * (emulated/labwired_bridge.py) looks at a word beside the identity (identity.h): while it is 1,
 * the bridge computes nothing. At the next byte, or after a while, the bridge clears it, and has
 * added to the other word how long the sleep was: that much the board's clock moves on. */
#ifndef TLEP_BRIDGE_H
#define TLEP_BRIDGE_H

#include <stdint.h>

typedef struct {
    volatile uint32_t asleep;
    volatile uint32_t slept_ms; /* since power-on */
} tlep_bridge;

static inline tlep_bridge *tlep_bridge_at(uintptr_t identity_address)
{
    return (tlep_bridge *)(identity_address + 20);
}

static inline void tlep_bridge_sleep(tlep_bridge *bridge)
{
    bridge->asleep = 1;
    while (bridge->asleep != 0) {
    }
}

#endif
