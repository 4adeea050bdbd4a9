/* Reset of the bench image: switch the FPU on, open semihosting, run. */
#include <stdint.h>
#include <stdlib.h>

extern uint32_t stack_top;
extern void initialise_monitor_handles(void);
int main(void);

static void run(void)
{
    initialise_monitor_handles();
    exit(main());
}

void reset(void)
{
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* CPACR: full access to CP10 and CP11 */
    __asm__ volatile("dsb\n\tisb");
    run(); /* a function of its own: nothing may touch the FPU before the barrier */
}

static void hang(void)
{
    for (;;) {
    }
}

void _init(void) {}
void _fini(void) {}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &stack_top, (const void *)reset, (const void *)hang, (const void *)hang};
