/* Consistent Overhead Byte Stuffing (Cheshire & Baker 1999): no zero byte inside a frame. */
#ifndef TLEP_COBS_H
#define TLEP_COBS_H

#include <stdint.h>

/* Encoded size of `n` bytes at worst, without the delimiter. */
#define TLEP_COBS_MAX(n) ((n) + 1U + (n) / 254U)

/* Encode `n` bytes into `to` (TLEP_COBS_MAX(n) bytes); returns the encoded size. */
uint32_t tlep_cobs_encode(const uint8_t *from, uint32_t n, uint8_t *to);

/* Decode `n` bytes in place; returns the decoded size, or 0 when the stuffing is wrong. */
uint32_t tlep_cobs_decode(uint8_t *data, uint32_t n);

#endif
