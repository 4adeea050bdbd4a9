#include "platform/stack.h"

#include "platform/hal.h"

static const uint32_t paint = 0x57ACC0DEU;
enum { MARGIN_BYTES = 256 }; /* the painting function's own frame, and an interrupt's */

void tlep_stack_paint(void)
{
    uintptr_t low, high, here = (uintptr_t)__builtin_frame_address(0);
    hal_stack(&low, &high);
    if (low == high) {
        return;
    }
    for (volatile uint32_t *p = (volatile uint32_t *)low; (uintptr_t)p < here - MARGIN_BYTES; p++) {
        *p = paint;
    }
}

bool tlep_stack_use(uint32_t *total, uint32_t *used, uint32_t *high_water)
{
    uintptr_t low, high;
    hal_stack(&low, &high);
    if (low == high) {
        return false;
    }
    const volatile uint32_t *p = (const volatile uint32_t *)low;
    while ((uintptr_t)p < high && *p == paint) {
        p++;
    }
    *total = (uint32_t)(high - low);
    *used = (uint32_t)(high - (uintptr_t)__builtin_frame_address(0));
    *high_water = (uint32_t)(high - (uintptr_t)p);
    return true;
}
