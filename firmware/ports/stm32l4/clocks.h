/* The clock tree: from the chip's own oscillator, held to the board's clock crystal, to the chip's
 * full speed. Neither board has a faster crystal. */
#ifndef TLEP_CLOCKS_H
#define TLEP_CLOCKS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint32_t hz;       /* of the core, of both buses and of the timers */
    bool has_crystal;  /* without it MSI is a percent off */
} tlep_clocks;

tlep_clocks clocks_start(void);

#endif
