/* A board for fuzzing: its line is what the harness gives it, its clock counts the looks at it, so
 * that an input does the same each time. What the firmware does to the HAL is checked: a broken
 * promise aborts. */
#ifndef TLEP_FUZZ_BOARD_H
#define TLEP_FUZZ_BOARD_H

#include <stdint.h>

enum { FUZZ_SLOT_MAX_BYTES = 4096 };

/* Power on, with `bytes` of model in the flash slot (0: the flash is empty). */
void fuzz_power_on(const uint8_t *model, uint32_t bytes);

/* Bytes come over the line; one turn of the main loop serves them, and computes a token if a run is
 * on. */
void fuzz_line(const uint8_t *bytes, uint32_t n);

/* Let `us` pass in silence. */
void fuzz_silence(uint32_t us);

/* Turn the main loop until no run is on. */
void fuzz_finish(void);

#endif
