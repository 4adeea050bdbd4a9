/* "Which of them are you?": the board's LED blinks for a while, so that a person finds the board on
 * the bench.
 *
 * The main loop does the blinking, between tokens and never inside a timed window: a timer
 * interrupt would be measured along with the model. */
#ifndef TLEP_IDENTIFY_H
#define TLEP_IDENTIFY_H

#include <stdbool.h>
#include <stdint.h>

enum { TLEP_IDENTIFY_MAX_MS = 60000 };

typedef struct {
    uint64_t began_us;
    uint64_t duration_us; /* 0: not blinking */
    bool lit;
} tlep_identify;

/* Blink for `ms` from now; 0 ends it. */
void tlep_identify_begin(tlep_identify *id, uint32_t ms);

/* Switch the LED when it is time to. True while blinking: the caller must not sleep then. */
bool tlep_identify_step(tlep_identify *id);

#endif
