/* Arm MPS2+ FPGA board with AN500 (Cortex-M7 at 25 MHz), as QEMU's mps2-an500: its memory and its
 * interrupts. The rest is in common/mps2. */
#include "cortex_m.h"
#include "mps2.h"
#include "regions.h"

#define PSRAM_BASE 0x60000000U
#define SLOT_BASE 0x60800000U

enum {
    PSRAM_BYTES = 16 * 1024 * 1024,
    SLOT_BYTES = PSRAM_BASE + PSRAM_BYTES - SLOT_BASE,
    IRQ_UART0_RX = 0,
    IRQ_UART0_TX = 1,
    IRQ_TIMER0 = 8,
};

const tlep_board *hal_init(void)
{
    tlep_board *board = mps2_init();
    board->n_regions = 3;
    board->regions[0] = tlep_models_region("ssram", 4 * 1024 * 1024);
    board->regions[1] = (tlep_region){.name = "psram",
                                      .kind = TLEP_REGION_RAM,
                                      .base = (uint8_t *)PSRAM_BASE,
                                      .size = SLOT_BASE - PSRAM_BASE,
                                      .total = SLOT_BASE - PSRAM_BASE};
    board->regions[2] = tlep_slot_region("psram-slot", SLOT_BASE, SLOT_BYTES, SLOT_BYTES);
    tlep_irq_enable(IRQ_UART0_RX);
    tlep_irq_enable(IRQ_UART0_TX);
    tlep_irq_enable(IRQ_TIMER0);
    return board;
}

extern uint32_t link_stack_high[];
__attribute__((section(".vectors"), used)) vector *const tlep_vectors[16 + IRQ_TIMER0 + 1] = {
    [0] = (vector *)link_stack_high,
    [1] = tlep_reset_handler,
    [2 ... 15] = tlep_fault_handler,
    [16 + IRQ_UART0_RX] = mps2_uart0_handler,
    [16 + IRQ_UART0_TX] = mps2_uart0_handler,
    [16 + IRQ_UART0_TX + 1 ... 16 + IRQ_TIMER0 - 1] = tlep_fault_handler,
    [16 + IRQ_TIMER0] = mps2_timer0_handler,
};
