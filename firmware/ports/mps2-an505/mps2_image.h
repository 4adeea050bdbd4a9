/* AN505: Cortex-M33 at 20 MHz, in Arm's IoT Kit. Bit 28 of an address picks the secure side of what
 * lies there: 0x5... is a peripheral at 0x4..., seen as secure. */
#ifndef TLEP_MPS2_IMAGE_H
#define TLEP_MPS2_IMAGE_H

#define MPS2_PLATFORM "mps2-an505"
#define MPS2_UART0 0x50200000U
#define MPS2_TIMER0 0x50000000U
#define MPS2_IDENTITY 0x80FFFFE0U
#define MPS2_CLOCK_HZ 20000000
#define MPS2_ALIGN_NOPS 4

#endif
