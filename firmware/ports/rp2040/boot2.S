/* The second stage of the RP2040's boot. The mask ROM copies it from the first 256 bytes of flash
 * to the end of SRAM, checks its checksum, and runs it there, with the flash controller in plain
 * SPI mode and the core at about 6 MHz from the ring oscillator.
 *
 * It reads the flash chip's unique id, which is the board's, while the chip still takes commands;
 * it switches chip and controller to reads on four data lines without a command byte, the fastest
 * that chips like the W25Q do; and it starts the firmware behind it.
 *
 * It does not run where it is linked, so all addresses in it are relative or constants. In
 * assembly, because from C it does not fit into 252 bytes. Registers: RP2040 datasheet, 4.10;
 * commands: the W25Q16JV's. */
    .syntax unified
    .cpu cortex-m0plus
    .thumb

    /* The flash controller, and its registers. */
    .equ SSI, 0x18000000
    .equ CTRLR0, 0x00
    .equ ENABLE, 0x08
    .equ BAUDR, 0x14
    .equ RXFLR, 0x24
    .equ STATUS, 0x28
    .equ DATA, 0x60
    .equ RX_SAMPLE_DELAY, 0xF0
    .equ SPI_CTRLR0, 0xF4
    .equ BUSY, 1
    .equ TX_EMPTY, 4
    /* CTRLR0: an address out, and 32 bits in on four lines. */
    .equ QUAD, 2 << 21 | 31 << 16 | 3 << 8
    /* SPI_CTRLR0: 24 bits of address and 8 of mode on four lines, then 4 idle clocks; before them a
     * command byte on one line, or none. */
    .equ ADDRESS, 4 << 11 | 8 << 2
    .equ WITH_COMMAND, ADDRESS | 2 << 8 | 1
    .equ WITHOUT_COMMAND, ADDRESS | 2 | CONTINUOUS << 24
    .equ DIVIDER, 2 /* 62.5 MHz at a core of 125 MHz, as the Pico's own SDK has it */

    /* IO_QSPI: SS_CTRL. 0: by the controller, 2 << 8: low, 3 << 8: high. */
    .equ CHIP_SELECT, 0x4001800C
    .equ PADS_QSPI, 0x40020000
    .equ SCRATCH_UID, 0x40058010 /* two of the watchdog's scratch registers, which hal.c reads */
    .equ VTOR, 0xE000ED08
    .equ VECTORS, 0x10000100

    /* Commands of the flash chip, and bits. */
    .equ READ_STATUS_2, 0x35
    .equ WRITE_STATUS_2, 0x31
    .equ ENABLE_VOLATILE_WRITE, 0x50 /* until power goes off: wears nothing */
    .equ READ_UNIQUE_ID, 0x4B
    .equ FAST_READ_QUAD, 0xEB
    .equ CONTINUOUS, 0xA0 /* mode bits: the next read has no command byte */
    .equ QUAD_ENABLE, 2

    .section .boot2, "ax"
    .global tlep_boot2
    .thumb_func
tlep_boot2:
    ldr r4, =SSI
    ldr r5, =CHIP_SELECT

    movs r0, #READ_STATUS_2
    bl command
    bl exchange
    movs r6, #QUAD_ENABLE
    tst r0, r6
    bne 1f
    orrs r6, r0
    movs r0, #ENABLE_VOLATILE_WRITE
    bl command
    movs r0, #WRITE_STATUS_2
    bl command
    movs r0, r6
    bl exchange

1:  ldr r7, =SCRATCH_UID
    movs r0, #READ_UNIQUE_ID
    bl command
    bl exchange_word /* four bytes pass before the id */
    bl exchange_word
    str r6, [r7]
    bl exchange_word
    str r6, [r7, #4]
    movs r0, #0
    str r0, [r5]

    ldr r0, =PADS_QSPI
    movs r1, #2 << 4 | 1 /* the clock at 8 mA, and fast */
    str r1, [r0, #0x04]
    movs r1, #0x54 /* data: the reset value, but no hysteresis, which is a delay */
    str r1, [r0, #0x08]
    str r1, [r0, #0x0C]
    str r1, [r0, #0x10]
    str r1, [r0, #0x14]

    ldr r0, =WITH_COMMAND /* one read that sets the chip's mode */
    bl configure
    movs r0, #FAST_READ_QUAD
    str r0, [r4, #DATA]
    movs r0, #CONTINUOUS /* and address 0 */
    str r0, [r4, #DATA]
    movs r1, #BUSY | TX_EMPTY
2:  ldr r0, [r4, #STATUS]
    ands r0, r1
    cmp r0, #TX_EMPTY
    bne 2b
    ldr r0, =WITHOUT_COMMAND /* and now each read of 0x10000000 on */
    bl configure

    ldr r0, =VECTORS
    ldr r1, =VTOR
    str r0, [r1]
    ldmia r0, {r0, r1}
    msr msp, r0
    bx r1

/* Start the command r0, which ends the one before. */
command:
    movs r1, #3
    lsls r1, #8
    str r1, [r5]
    movs r1, #2
    lsls r1, #8
    str r1, [r5]
    /* Send r0; returns what comes back meanwhile. */
exchange:
    str r0, [r4, #DATA]
1:  ldr r1, [r4, #RXFLR]
    cmp r1, #0
    beq 1b
    ldr r0, [r4, #DATA]
    bx lr

/* Four bytes into r6, the first one lowest; what is sent does not matter. */
exchange_word:
    mov r3, lr
    movs r2, #4
1:  bl exchange
    lsrs r6, #8
    lsls r0, #24
    orrs r6, r0
    subs r2, #1
    bne 1b
    bx r3

/* Reads on four lines, SPI_CTRLR0 in r0; the controller is off meanwhile. */
configure:
    movs r1, #0
    str r1, [r4, #ENABLE]
    movs r1, #DIVIDER
    str r1, [r4, #BAUDR]
    ldr r1, =QUAD
    str r1, [r4, #CTRLR0]
    movs r2, #SPI_CTRLR0
    str r0, [r4, r2]
    movs r2, #RX_SAMPLE_DELAY
    movs r1, #1
    str r1, [r4, r2]
    str r1, [r4, #ENABLE]
    bx lr

    .ltorg
