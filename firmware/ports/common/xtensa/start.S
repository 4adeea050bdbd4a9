/* Vectors, start-up and the interrupt of an Xtensa core with a windowed register file.
 *
 * A call moves the window of sixteen registers up by eight (Clang's calls; by four or twelve those
 * of others). When a frame's registers are needed again for a deeper call, an overflow vector spills
 * them: a0 to a3 below the stack pointer of the frame it called, the others to the top of its own
 * frame, which it finds by its caller's stack pointer. An underflow vector brings them back. */

#define PS_MASKED 0x40021 /* windows on, user vector, interrupts of level 1 masked */
#ifdef TLEP_CALL0 /* calls leave the window alone: what follows about it is never needed */
#define CALL callx0
#else
#define CALL callx8
#endif

#define CAUSE_INTERRUPT 4
#define CAUSE_ALLOCA 5

    .section .vectors, "ax"
    .p2align 10
    .global tlep_vectors
tlep_vectors:
overflow4:
    s32e a0, a5, -16
    s32e a1, a5, -12
    s32e a2, a5, -8
    s32e a3, a5, -4
    rfwo
    .org 0x40
underflow4:
    l32e a0, a5, -16
    l32e a1, a5, -12
    l32e a2, a5, -8
    l32e a3, a5, -4
    rfwu
    .org 0x80
overflow8:
    s32e a0, a9, -16
    l32e a0, a1, -12
    s32e a1, a9, -12
    s32e a2, a9, -8
    s32e a3, a9, -4
    s32e a4, a0, -32
    s32e a5, a0, -28
    s32e a6, a0, -24
    s32e a7, a0, -20
    rfwo
    .org 0xC0
underflow8:
    l32e a0, a9, -16
    l32e a1, a9, -12
    l32e a2, a9, -8
    l32e a7, a1, -12
    l32e a3, a9, -4
    l32e a4, a7, -32
    l32e a5, a7, -28
    l32e a6, a7, -24
    l32e a7, a7, -20
    rfwu
    .org 0x100
overflow12:
    s32e a0, a13, -16
    l32e a0, a1, -12
    s32e a1, a13, -12
    s32e a2, a13, -8
    s32e a3, a13, -4
    s32e a4, a0, -48
    s32e a5, a0, -44
    s32e a6, a0, -40
    s32e a7, a0, -36
    s32e a8, a0, -32
    s32e a9, a0, -28
    s32e a10, a0, -24
    s32e a11, a0, -20
    rfwo
    .org 0x140
underflow12:
    l32e a0, a13, -16
    l32e a1, a13, -12
    l32e a2, a13, -8
    l32e a11, a1, -12
    l32e a3, a13, -4
    l32e a4, a11, -48
    l32e a5, a11, -44
    l32e a6, a11, -40
    l32e a7, a11, -36
    l32e a8, a11, -32
    l32e a9, a11, -28
    l32e a10, a11, -24
    l32e a11, a11, -20
    rfwu
    .org 0x180 /* interrupts of levels 2 to 5, debug, NMI: none is ever enabled */
    j fault
    .org 0x1C0
    j fault
    .org 0x200
    j fault
    .org 0x240
    j fault
    .org 0x280
    j fault
    .org 0x2C0
    j fault
    .org 0x300 /* kernel: no code runs in that mode */
    j fault
    .org 0x340
    wsr a0, excsave1
    j user_exception
    .org 0x3C0 /* an exception within one */
    j fault
    .org 0x400

    .section .literal.start, "a"
    .p2align 2
.Lvectors: .long tlep_vectors
.Lstack_high: .long link_stack_high
.Lbss_start: .long link_bss_start
.Lbss_end: .long link_bss_end
.Lps_masked: .long PS_MASKED
.Lmain: .long main
.Lreset: .long hal_reset
.Linterrupt: .long tlep_interrupt
.Lsaved: .long saved

    .section .bss.saved, "aw", @nobits
    .p2align 2
saved:
    .space 18 * 4

    .section .text.start, "ax"

/* One frame, on an empty stack. What would be spilled of its caller, which it has none of, is where
 * its own overflow looks for the top of its frame. */
.macro first_frame
    movi a0, 0
    wsr a0, intenable
    wsr a0, windowbase
    rsync
    movi a0, 1
    wsr a0, windowstart
    wsr a0, cpenable /* coprocessor 0 is the FPU */
    rsync
    l32r a2, .Lstack_high
    addi a1, a2, -32
    addi a3, a1, -16
    s32i a2, a3, 4
    l32r a2, .Lvectors
    wsr a2, vecbase
    l32r a2, .Lps_masked
    wsr a2, ps
    rsync
.endm

    .global _start
    .p2align 2
_start:
    first_frame
    l32r a2, .Lbss_start
    l32r a3, .Lbss_end
    movi a4, 0
1:  bgeu a2, a3, 2f
    s32i a4, a2, 0
    addi a2, a2, 4
    j 1b
2:  l32r a8, .Lmain
    CALL a8
    /* main() does not return */

/* Restarts, so that the host sees another boot id, not a hang. */
    .p2align 2
fault:
    first_frame
    l32r a8, .Lreset
    CALL a8

    .p2align 2
user_exception:
#ifndef TLEP_CALL0 /* the interrupt's call relies on windows */
    rsr a0, exccause
    beqi a0, CAUSE_INTERRUPT, interrupt
    beqi a0, CAUSE_ALLOCA, alloca
#endif
    j fault

/* A function is about to move its stack pointer (movsp) while its caller's registers are spilled
 * below it: they are brought back, as if it had returned, and spilled again later. The window, and
 * with it the names of the registers, moves down to the caller's. */
alloca:
    rsr a0, windowbase
    rotw -1
    rsr a2, ps /* a0 is now a4 */
    extui a3, a2, 8, 4
    xor a3, a3, a4
    slli a3, a3, 8
    xor a2, a2, a3
    rsr a4, excsave1
    wsr a2, ps /* the window to return to, PS.OWB, is the one that we came from */
    rsync
    bbci a4, 31, 1f /* bits 30 and 31 of its return address: by how much its caller's call moved */
    rotw -1
    bbci a8, 30, 2f
    rotw -1
    j underflow12
1:  j underflow4
2:  j underflow8

/* An interrupt of level 1: saves what C may change, and calls tlep_interrupt() as if the interrupted
 * function had.
 *
 * The stack pointer stays as it was, because what lies below it may be the caller's spilled
 * registers: the rest is saved in static memory, since there is one level. a8 to a15 may be an older
 * frame's still: with windows on, the first use of them spills that frame, as in any function. The
 * FPU's registers are not saved: the interrupt has no floats. */
interrupt:
    l32r a0, .Lsaved
    s32i a2, a0, 4
    s32i a3, a0, 8
    rsr a2, excsave1
    s32i a2, a0, 0
    rsr a2, epc1
    rsr a3, ps
    s32i a2, a0, 12
    s32i a3, a0, 16
    rsr a2, sar
    rsr a3, br
    s32i a2, a0, 20
    s32i a3, a0, 24
    rsr a2, lbeg
    rsr a3, lend
    s32i a2, a0, 28
    s32i a3, a0, 32
    rsr a2, lcount
    s32i a2, a0, 36
    l32r a2, .Lps_masked
    wsr a2, ps
    rsync
    s32i a8, a0, 40
    s32i a9, a0, 44
    s32i a10, a0, 48
    s32i a11, a0, 52
    s32i a12, a0, 56
    s32i a13, a0, 60
    s32i a14, a0, 64
    s32i a15, a0, 68
    l32r a8, .Linterrupt
    callx8 a8
    l32i a8, a0, 40
    l32i a9, a0, 44
    l32i a10, a0, 48
    l32i a11, a0, 52
    l32i a12, a0, 56
    l32i a13, a0, 60
    l32i a14, a0, 64
    l32i a15, a0, 68
    l32i a3, a0, 16
    wsr a3, ps
    rsync
    l32i a2, a0, 12
    wsr a2, epc1
    l32i a2, a0, 20
    l32i a3, a0, 24
    wsr a2, sar
    wsr a3, br
    l32i a2, a0, 28
    l32i a3, a0, 32
    wsr a2, lbeg
    wsr a3, lend
    l32i a2, a0, 36
    wsr a2, lcount
    rsync
    l32i a2, a0, 4
    l32i a3, a0, 8
    l32i a0, a0, 0
    rfe
