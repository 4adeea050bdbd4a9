#include "platform/memtest.h"

#include "platform/fault.h"

bool tlep_memtest(const tlep_arena *a, uint32_t offset, uint32_t bytes, tlep_memtest_pass pass,
                  tlep_memtest_bad *bad)
{
    uintptr_t base = (uintptr_t)a->base;
    for (uint32_t at = offset; at < offset + bytes; at += (uint32_t)sizeof(uint32_t)) {
        /* volatile: the memory is asked, not the compiler */
        volatile uint32_t *word = (volatile uint32_t *)(base + at);
        uint32_t address = (uint32_t)(base + at);
        uint32_t expected = pass == TLEP_MEMTEST_INVERT ? address : ~address;
        if (pass != TLEP_MEMTEST_FILL) {
            uint32_t got = tlep_fault_word(at, *word);
            if (got != expected) {
                *bad = (tlep_memtest_bad){.offset = at, .expected = expected, .got = got};
                return false;
            }
        }
        if (pass != TLEP_MEMTEST_CHECK) {
            *word = pass == TLEP_MEMTEST_FILL ? address : ~address;
        }
    }
    return true;
}
