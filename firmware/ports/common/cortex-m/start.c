#include <string.h>

#include "cortex_m.h"
#include "platform/hal.h"

extern uint32_t link_data_start[], link_data_end[], link_data_load[], link_bss_start[],
    link_bss_end[];
extern uint32_t link_stack_low[], link_stack_high[];
int main(void);

void tlep_reset_handler(void)
{
#ifdef __ARM_FP
    REG32(0xE000ED88) |= 0xFU << 20; /* CPACR: the FPU, before any code that may use it */
    __asm volatile("dsb\n isb");
#endif
    memcpy(link_data_start, link_data_load, (uintptr_t)link_data_end - (uintptr_t)link_data_start);
    memset(link_bss_start, 0, (uintptr_t)link_bss_end - (uintptr_t)link_bss_start);
    (void)main();
    hal_reset();
}

/* What a fault finds on the stack, up to the address of the instruction that caused it. */
typedef struct {
    uint32_t r0, r1, r2, r3, r12, lr, pc;
} fault_frame;

enum { NARROW_BYTES = 2 };
static volatile bool probing;

/* A fault while tlep_readable() looks is its answer: go on behind the load. */
static __attribute__((used)) void on_fault(fault_frame *frame)
{
    if (!probing) {
        hal_reset();
    }
    probing = false;
    frame->pc += NARROW_BYTES;
}

/* Naked, so that the stack is as the fault left it. */
__attribute__((naked)) void tlep_fault_handler(void)
{
    __asm volatile("mrs r0, msp\n"
                   "ldr r1, =on_fault\n"
                   "bx r1");
}

bool tlep_readable(uint32_t address)
{
    probing = true;
    __asm volatile("ldr %0, [%0]\n" /* of low registers: a narrow one */
                   "dsb"
                   : "+l"(address)
                   :
                   : "memory");
    bool readable = probing;
    probing = false;
    return readable;
}

/* Weak: a chip that this does not restart whole has its own. */
__attribute__((weak)) void hal_reset(void)
{
    __asm volatile("dsb");
    REG32(0xE000ED0C) = 0x05FA0004; /* AIRCR: SYSRESETREQ */
    for (;;) {
    }
}

void tlep_irq_enable(uint32_t irq)
{
    REG32(0xE000E100 + 4 * (irq / 32)) = 1U << (irq % 32);
}

bool tlep_cycle_counter_start(void)
{
    if (!tlep_readable(0xE000EDFC)) {
        return false;
    }
    REG32(0xE000EDFC) |= 1U << 24; /* DEMCR: TRCENA */
    REG32(0xE0001000) |= 1U;       /* DWT_CTRL: CYCCNTENA */
    uint32_t before = REG32(0xE0001004);
    for (volatile int i = 0; i < 8; i++) {
    }
    return REG32(0xE0001004) != before;
}

void hal_stack(uintptr_t *low, uintptr_t *high)
{
    *low = (uintptr_t)link_stack_low;
    *high = (uintptr_t)link_stack_high;
}
