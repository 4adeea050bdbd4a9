/* What many boards have not, or need not do. A port that has it defines its own. */
#include "platform/hal.h"

/* For a counter whose tick is no longer than an instruction. */
__attribute__((weak)) void hal_align(void)
{
}

__attribute__((weak)) void hal_led(bool on)
{
    (void)on;
}

__attribute__((weak)) bool hal_temperature(uint32_t index, const char **location,
                                           int32_t *millidegrees)
{
    (void)index;
    (void)location;
    (void)millidegrees;
    return false;
}
