#include "irq.h"

#include "platform/hal.h"

extern uint32_t link_stack_low[], link_stack_high[];

/* A fault restarts the board, so that the host sees another boot id and not a hang. */
void tlep_fault_handler(void)
{
    hal_reset();
}

void hal_stack(uintptr_t *low, uintptr_t *high)
{
    *low = (uintptr_t)link_stack_low;
    *high = (uintptr_t)link_stack_high;
}
