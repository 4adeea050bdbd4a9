/* The whole program: serve the link, compute a token when there is one to compute, sleep otherwise. */
#include "link/link.h"
#include "platform/stack.h"
#include "platform/timer.h"

static tlep_link link; /* everything the firmware knows; static, because there is no heap */

int main(void)
{
    tlep_stack_paint();
    tlep_link_init(&link, hal_init());
    for (;;) {
        bool any = tlep_link_poll(&link);
        any |= tlep_identify_step(&link.identify); /* while it blinks nobody sleeps */
        if (tlep_run_active(&link.run)) {
            tlep_link_step(&link);
        } else if (!any) {
            uint64_t before = tlep_time_us();
            hal_idle();
            link.idle_us += tlep_time_us() - before;
        }
    }
}
