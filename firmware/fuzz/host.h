/* The other end of the line, which holds the board to its protocol. */
#ifndef TLEP_FUZZ_HOST_H
#define TLEP_FUZZ_HOST_H

#include <stdbool.h>
#include <stdint.h>

/* Abort, which libFuzzer takes for a crash, unless a promise was kept. */
void fuzz_check(bool promise);

/* What the board wrote: whatever has come in, this is one intact frame with a sound payload. */
void fuzz_host_receive(const uint8_t *wire, uint32_t n);

/* RSP and ERR frames received so far, and the seq of the last one. */
uint32_t fuzz_host_replies(void);
uint16_t fuzz_host_last_seq(void);

#endif
