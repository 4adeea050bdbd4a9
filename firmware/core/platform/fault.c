#include "platform/fault.h"

#ifdef TLEP_FAULTS

#include "platform/hal.h"

static uint32_t parameters[TLEP_FAULT_LAST + 1];
static bool active[TLEP_FAULT_LAST + 1];
static uint32_t noise = 0x9E3779B9U;

/* xorshift32: the same noise each time, so a failing test can be repeated */
static uint32_t next_noise(void)
{
    noise ^= noise << 13;
    noise ^= noise >> 17;
    noise ^= noise << 5;
    return noise;
}

bool tlep_fault_set(uint32_t kind, uint32_t parameter)
{
    if (kind > TLEP_FAULT_LAST) {
        return false;
    }
    if (kind == TLEP_FAULT_NONE) {
        for (uint32_t i = 0; i <= TLEP_FAULT_LAST; i++) {
            active[i] = false;
        }
        return true;
    }
    parameters[kind] = parameter;
    active[kind] = true;
    return true;
}

void tlep_fault_after_token(uint32_t index, uint32_t *token)
{
    if (active[TLEP_FAULT_WRONG_ANSWER] && index == parameters[TLEP_FAULT_WRONG_ANSWER]) {
        *token = *token == 0 ? 1 : *token - 1;
    }
    if (active[TLEP_FAULT_REBOOT] && index >= parameters[TLEP_FAULT_REBOOT]) {
        hal_reset();
    }
    while (active[TLEP_FAULT_HANG] && index >= parameters[TLEP_FAULT_HANG]) {
        hal_idle();
    }
    while (active[TLEP_FAULT_BABBLE] && index >= parameters[TLEP_FAULT_BABBLE]) {
        uint32_t word = next_noise();
        (void)hal_uart_write((const uint8_t *)&word, sizeof word);
        hal_uart_drain();
    }
}

bool tlep_fault_no_memory(void)
{
    return active[TLEP_FAULT_NO_MEMORY];
}

uint32_t tlep_fault_filter(uint8_t *bytes, uint32_t n)
{
    uint32_t out = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (active[TLEP_FAULT_DROP] && next_noise() % 1000 < parameters[TLEP_FAULT_DROP]) {
            continue;
        }
        bytes[out] = bytes[i];
        if (active[TLEP_FAULT_CORRUPT] && next_noise() % 1000 < parameters[TLEP_FAULT_CORRUPT]) {
            bytes[out] ^= (uint8_t)(1U << (next_noise() % 8));
        }
        out++;
    }
    return out;
}

int32_t tlep_fault_temperature(int32_t millidegrees)
{
    return active[TLEP_FAULT_OVERHEAT] ? (int32_t)parameters[TLEP_FAULT_OVERHEAT] : millidegrees;
}

uint32_t tlep_fault_word(uint32_t offset, uint32_t value)
{
    uint32_t parameter = parameters[TLEP_FAULT_STUCK_BIT];
    if (!active[TLEP_FAULT_STUCK_BIT] || offset != (parameter & ~3U)) {
        return value;
    }
    return (value & ~1U) | (parameter & 1U);
}

uint64_t tlep_fault_time(uint64_t us)
{
    return active[TLEP_FAULT_CLOCK] ? us * parameters[TLEP_FAULT_CLOCK] / 1000U : us;
}

#else
typedef int tlep_fault_disabled; /* ISO C forbids an empty translation unit */
#endif
