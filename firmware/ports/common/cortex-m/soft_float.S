/* Float multiplication and addition for Cortex-M0+, in about half of libgcc's time. Exact by IEEE
 * 754 (round to nearest, ties to even) where operands and result are normal numbers, which is
 * nearly always; almost everything else, denormals too, is left to libgcc.
 *
 * Linked with --wrap: the compiler's calls of __aeabi_fmul come here, and __real___aeabi_fmul is
 * libgcc's. */
    .syntax unified
    .cpu cortex-m0plus
    .thumb
    .text

/* r0 = r0 * r1. The mantissas of 24 bits are multiplied in halves of 12:
 * (ah 2^12 + al) (bh 2^12 + bl). */
    .section .text.tlep_fmul, "ax"
    .global __wrap___aeabi_fmul
    .thumb_func
__wrap___aeabi_fmul:
    lsls r2, r0, #1
    lsrs r2, r2, #24 /* exponent of a */
    beq 8f
    cmp r2, #255
    beq 8f
    lsls r3, r1, #1
    lsrs r3, r3, #24 /* exponent of b */
    beq 8f
    cmp r3, #255
    beq 8f
    adds r2, r3
    subs r2, #127 + 1 /* the result's, less one; rounding or a carry may add one each */
    cmp r2, #252
    bhs 8f
    push {r4, r5, r6, lr}
    movs r6, r0
    eors r6, r1 /* the sign, in bit 31 */
    mov r12, r6

    movs r4, #8
    lsls r4, #8 /* the bit that is not written down, in a high half */
    lsls r3, r0, #9
    lsrs r3, #21
    orrs r3, r4 /* ah */
    lsls r0, #20
    lsrs r0, #20 /* al */
    lsls r6, r1, #9
    lsrs r6, #21
    orrs r6, r4 /* bh */
    lsls r1, #20
    lsrs r1, #20 /* bl */
    movs r5, r0
    muls r5, r1 /* al bl */
    muls r0, r6 /* al bh */
    muls r1, r3 /* ah bl */
    muls r3, r6 /* ah bh */
    adds r0, r1
    lsrs r1, r5, #12
    adds r0, r1 /* what counts 2^12 */
    lsrs r1, r0, #12
    adds r3, r1 /* the product's bits from 24 on: 23 or 24 of them */
    lsls r0, #20
    lsls r5, #20
    lsrs r5, #12
    orrs r0, r5 /* the bits below, at the top of the word */

    lsrs r1, r3, #23
    bne 1f
    lsls r0, #1
    adcs r3, r3
    subs r2, #1
1:  adds r2, #1
    lsls r0, #1 /* carry: the half; the rest: what is below it */
    bcc 3f
    bne 2f
    lsrs r0, r3, #1 /* a tie: carry if odd */
    bcc 3f
2:  adds r3, #1
3:  lsls r2, #23
    adds r0, r2, r3 /* the bit not written down adds one to the exponent, as does a full carry */
    mov r1, r12
    lsrs r1, #31
    lsls r1, #31
    orrs r0, r1
    pop {r4, r5, r6, pc}

8:  ldr r2, =__real___aeabi_fmul
    bx r2
    .ltorg

/* r0 = r0 + r1, and r0 = r0 - r1. The mantissas lie at bits 30 to 7: one bit above for a carry, and
 * seven below for rounding, the lowest of which is set when anything beyond it is not zero. */
    .section .text.tlep_fadd, "ax"
    .global __wrap___aeabi_fsub
    .thumb_func
__wrap___aeabi_fsub:
    movs r2, #1
    lsls r2, #31
    eors r1, r2
    .global __wrap___aeabi_fadd
    .thumb_func
__wrap___aeabi_fadd:
    lsls r2, r0, #1
    lsls r3, r1, #1
    cmp r2, r3
    bhs 1f
    mov r12, r0 /* r0 is the larger one */
    movs r0, r1
    mov r1, r12
    lsls r2, r0, #1
    lsls r3, r1, #1
1:  lsrs r2, #24 /* exponent of a, and of the result */
    cmp r2, #255
    beq 12f
    lsrs r3, #24
    beq 9f
    subs r3, r2, r3
    cmp r3, #30
    bhi 8f /* b is less than a quarter of a's last bit, and of the one below a power of two */

    push {r4, r5, r6, lr}
    movs r6, #1
    lsls r6, #30
    lsls r4, r0, #9
    lsrs r4, #2
    orrs r4, r6
    lsls r5, r1, #9
    lsrs r5, #2
    orrs r5, r6
    movs r6, #32
    subs r6, r3
    mov r12, r5
    lsrs r5, r3
    mov r3, r12
    lsls r3, r6 /* what b loses */
    beq 2f
    movs r3, #1
    orrs r5, r3
2:  movs r6, r0
    eors r6, r1
    bmi 4f

    adds r4, r5
    bmi 3f
    subs r2, #1
    b 5f
3:  lsls r6, r4, #25 /* with a carry: eight bits to round by */
    lsrs r4, #8
    b 6f

4:  subs r4, r5
    beq 10f
    subs r2, #1
    lsls r6, r4, #1
    bmi 5f
    lsls r4, #1
    subs r2, #1
    lsls r6, r4, #1
    bmi 5f
41: lsls r4, #1 /* this much is lost only where b has lost nothing: exact */
    subs r2, #1
    lsls r6, r4, #1
    bpl 41b
    /* r2: the exponent less one. Rounding, or a carry out of it, may add one. */
5:  lsls r6, r4, #26
    lsrs r4, #7
6:  bcc 7f /* the bit below the last */
    cmp r6, #0
    bne 61f
    lsrs r6, r4, #1 /* a tie: carry if odd */
    bcc 7f
61: adds r4, #1
7:  cmp r2, #253
    bhs 11f
    lsls r2, #23
    adds r2, r4
    lsrs r0, #31
    lsls r0, #31
    orrs r0, r2
    pop {r4, r5, r6, pc}

10: movs r0, #0
    pop {r4, r5, r6, pc}
11: pop {r4, r5, r6}
    pop {r3}
    mov lr, r3
    b 12f
9:  lsls r3, r1, #1
    bne 12f
    cmp r2, #0
    beq 12f
8:  bx lr /* a, where b is zero or nearly */
12: ldr r2, =__real___aeabi_fadd
    bx r2
    .ltorg
