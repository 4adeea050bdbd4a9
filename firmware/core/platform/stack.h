/* How deep the stack went: painted at start, read by looking where the paint ends. */
#ifndef TLEP_STACK_H
#define TLEP_STACK_H

#include <stdbool.h>
#include <stdint.h>

/* Paint from the bottom to just under the caller; once, first thing in main(). */
void tlep_stack_paint(void);

/* Bytes of stack in all, in use now, and at the deepest. False where the port has no stack of its
 * own to show. */
bool tlep_stack_use(uint32_t *total, uint32_t *used, uint32_t *high_water);

#endif
