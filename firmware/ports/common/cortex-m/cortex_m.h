/* The parts that every Cortex-M port needs: start-up, faults, NVIC, cycle counter, reset. */
#ifndef TLEP_CORTEX_M_H
#define TLEP_CORTEX_M_H

#include <stdbool.h>
#include <stdint.h>

#define REG32(address) (*(volatile uint32_t *)(uintptr_t)(address))

typedef void vector(void);

/* 16 system exceptions, then the chip's interrupts; each port fills in its own. */
extern vector *const tlep_vectors[];

void tlep_reset_handler(void);
void tlep_fault_handler(void); /* restarts: the host sees another boot id, not a hang */
void tlep_irq_enable(uint32_t irq);

/* Whether a word can be read there: a gap in the memory map is a fault. */
bool tlep_readable(uint32_t address);

/* Start the DWT cycle counter; false when it does not count, as under QEMU, or is not there. */
bool tlep_cycle_counter_start(void);

#endif
