/* Faults on demand, so that tests can cause the troubles of a lab. Only builds with TLEP_FAULTS
 * (the native port) have them; elsewhere every hook does nothing. */
#ifndef TLEP_FAULT_H
#define TLEP_FAULT_H

#include <stdbool.h>
#include <stdint.h>

typedef enum {
    TLEP_FAULT_NONE = 0,
    TLEP_FAULT_HANG = 1,         /* after `parameter` tokens */
    TLEP_FAULT_DROP = 2,         /* per mille of received bytes */
    TLEP_FAULT_CORRUPT = 3,      /* per mille of received bytes */
    TLEP_FAULT_REBOOT = 4,       /* after `parameter` tokens */
    TLEP_FAULT_OVERHEAT = 5,     /* millidegrees Celsius */
    TLEP_FAULT_NO_MEMORY = 6,    /* at the next upload or load */
    TLEP_FAULT_WRONG_ANSWER = 7, /* at generated token `parameter` */
    TLEP_FAULT_BABBLE = 8,       /* after `parameter` tokens: noise without end */
    /* of RAM: bit 0 of the word at byte `parameter` reads as the parameter's bit 0 */
    TLEP_FAULT_STUCK_BIT = 9,
    TLEP_FAULT_CLOCK = 10,       /* runs at `parameter` per mille of its right speed */
    TLEP_FAULT_LAST = 10
} tlep_fault_kind;

#ifdef TLEP_FAULTS
bool tlep_fault_set(uint32_t kind, uint32_t parameter); /* false: no such fault */
void tlep_fault_after_token(uint32_t index, uint32_t *token);
bool tlep_fault_no_memory(void);
/* received bytes; returns how many are left */
uint32_t tlep_fault_filter(uint8_t *bytes, uint32_t n);
int32_t tlep_fault_temperature(int32_t millidegrees);
/* what is read at a RAM region's offset */
uint32_t tlep_fault_word(uint32_t offset, uint32_t value);
uint64_t tlep_fault_time(uint64_t us);
#else
static inline void tlep_fault_after_token(uint32_t index, uint32_t *token)
{
    (void)index;
    (void)token;
}
static inline bool tlep_fault_no_memory(void)
{
    return false;
}
static inline uint32_t tlep_fault_word(uint32_t offset, uint32_t value)
{
    (void)offset;
    return value;
}
static inline uint64_t tlep_fault_time(uint64_t us)
{
    return us;
}
#endif

#endif
