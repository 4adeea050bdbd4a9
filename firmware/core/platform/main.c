/* The whole program: serve the host, compute a token when there is one to compute, sleep
 * otherwise. */
#include "device/device.h"
#include "platform/stack.h"
#include "platform/timer.h"

static tlep_device device; /* everything the firmware knows; static, because there is no heap */

int main(void)
{
    tlep_stack_paint();
    tlep_device_init(&device, hal_init());
    for (;;) {
        bool any = tlep_device_poll(&device);
        any |= tlep_identify_step(&device.identify); /* while it blinks nobody sleeps */
        if (tlep_run_active(&device.run)) {
            tlep_device_step(&device);
        } else if (tlep_slot_check(&device.model.slot)) {
            continue; /* a piece at a time, so that requests are answered meanwhile */
        } else if (!any) {
            uint64_t before = tlep_time_us();
            hal_idle();
            device.idle_us += tlep_time_us() - before;
        }
    }
}
