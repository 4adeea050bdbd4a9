/* Reset: the FPU on, the stack, .bss cleared, then main(). The rest is loaded where it runs. */
    .section .start, "ax"
    .globl _start
_start:
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    la sp, link_stack_high
    li t0, 0x6000              /* mstatus.FS: on */
    csrs mstatus, t0
    la t0, trap_handler
    csrw mtvec, t0
    la t0, link_bss_start
    la t1, link_bss_end
1:  bgeu t0, t1, 2f
    sw zero, 0(t0)
    addi t0, t0, 4
    j 1b
2:  call main
    j _start
