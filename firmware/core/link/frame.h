/* Frames on the wire: COBS, a kind, a sequence number and a CRC-32 (docs/link-protocol.md, section
 * 1). */
#ifndef TLEP_FRAME_H
#define TLEP_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "link/cobs.h"

enum {
    TLEP_MAX_PAYLOAD = 1024,
    TLEP_FRAME_OVERHEAD = 7, /* kind, seq, crc */
    TLEP_MAX_BODY = TLEP_MAX_PAYLOAD + TLEP_FRAME_OVERHEAD,
    TLEP_MAX_WIRE = TLEP_COBS_MAX(TLEP_MAX_BODY) + 2 /* a delimiter at each end */
};

typedef enum {
    TLEP_REQ = 1,
    TLEP_RSP = 2,
    TLEP_ERR = 3,
    TLEP_EVT = 4,
    TLEP_DATA = 5,
    TLEP_ACK = 6
} tlep_kind;

typedef struct {
    tlep_kind kind;
    uint16_t seq;
    const uint8_t *payload; /* inside the receiver; valid until the next byte */
    uint32_t bytes;
    uint32_t wire_bytes; /* what the frame took on the wire, for upload credit */
} tlep_frame;

typedef struct {
    uint8_t buffer[TLEP_COBS_MAX(TLEP_MAX_BODY)];
    uint32_t bytes;
    bool overlong; /* dropping until the next delimiter */
    uint32_t frames;
    uint32_t errors;
} tlep_receiver;

/* Take one byte; true when it completed an intact frame. Damaged ones are counted and dropped. */
bool tlep_receive(tlep_receiver *r, uint8_t byte, tlep_frame *frame);

/* Build a frame with its delimiters in `wire` (TLEP_MAX_WIRE bytes) from a payload that stands at
 * wire + TLEP_PAYLOAD_AT; returns its size. In place, because a second kilobyte buffer is a lot of
 * SRAM: the payload is written behind the room that stuffing needs and never overtaken. */
enum { TLEP_PAYLOAD_AT = TLEP_MAX_WIRE - TLEP_MAX_PAYLOAD - 4 };
uint32_t tlep_frame_build(uint8_t *wire, tlep_kind kind, uint16_t seq, uint32_t payload_bytes);

#endif
