#include "device/identify.h"

#include "platform/hal.h"
#include "platform/timer.h"

enum { HALF_PERIOD_US = 250000 };

static void light(tlep_identify *id, bool lit)
{
    if (lit != id->lit) {
        hal_led(lit);
        id->lit = lit;
    }
}

void tlep_identify_begin(tlep_identify *id, uint32_t ms)
{
    id->began_us = tlep_time_us();
    id->duration_us = (uint64_t)ms * 1000U;
    light(id, ms != 0);
}

bool tlep_identify_step(tlep_identify *id)
{
    if (id->duration_us == 0) {
        return false;
    }
    uint64_t elapsed_us = tlep_time_us() - id->began_us;
    if (elapsed_us >= id->duration_us) {
        tlep_identify_begin(id, 0);
        return false;
    }
    light(id, elapsed_us / HALF_PERIOD_US % 2 == 0);
    return true;
}
