/* Reset: the FPU on where there is one, the stack, .data copied, .bss cleared, then main().
 * The vectors: a fault first, and interrupts, whichever their number, behind it. */
    .section .start, "ax"
    .globl _start
_start:
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    la sp, link_stack_high
#ifdef __riscv_flen
    li t0, 0x6000              /* mstatus.FS: on */
    csrs mstatus, t0
#endif
    la t0, vectors
    ori t0, t0, 1              /* vectored, which is all that some chips can do */
    csrw mtvec, t0
    la t0, link_data_start
    la t1, link_data_end
    la t2, link_data_load
1:  bgeu t0, t1, 2f
    lw t3, 0(t2)
    sw t3, 0(t0)
    addi t0, t0, 4
    addi t2, t2, 4
    j 1b
2:  la t0, link_bss_start
    la t1, link_bss_end
3:  bgeu t0, t1, 4f
    sw zero, 0(t0)
    addi t0, t0, 4
    j 3b
4:  call main
    call hal_reset

    .section .vectors, "ax"
    .balign 256
    .option push
    .option norvc              /* a jump of four bytes each */
vectors:
    j tlep_fault_handler
    .rept 31
    j tlep_interrupt_handler
    .endr
    .option pop
