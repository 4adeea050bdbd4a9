#include "link/frame.h"

#include "link/crc32.h"

bool tlep_receive(tlep_receiver *r, uint8_t byte, tlep_frame *frame)
{
    if (byte != 0) {
        if (r->bytes < sizeof r->buffer) {
            r->buffer[r->bytes++] = byte;
        } else {
            r->overlong = true;
        }
        return false;
    }
    uint32_t encoded = r->bytes;
    bool overlong = r->overlong;
    r->bytes = 0;
    r->overlong = false;
    if (encoded == 0 && !overlong) {
        return false; /* an empty frame: the sender sent a delimiter to end any noise */
    }
    uint32_t n = overlong ? 0 : tlep_cobs_decode(r->buffer, encoded);
    if (n < TLEP_FRAME_OVERHEAD || n > TLEP_MAX_BODY) {
        r->errors++;
        return false;
    }
    const uint8_t *p = r->buffer + n - 4;
    uint32_t crc =
        (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    if (tlep_crc32(r->buffer, n - 4) != crc || r->buffer[0] < TLEP_REQ || r->buffer[0] > TLEP_ACK) {
        r->errors++;
        return false;
    }
    r->frames++;
    frame->kind = (tlep_kind)r->buffer[0];
    frame->seq = (uint16_t)(r->buffer[1] | r->buffer[2] << 8);
    frame->payload = r->buffer + 3;
    frame->bytes = n - TLEP_FRAME_OVERHEAD;
    frame->wire_bytes = encoded + 1;
    return true;
}

uint32_t tlep_frame_build(uint8_t *wire, tlep_kind kind, uint16_t seq, uint32_t payload_bytes)
{
    uint8_t *body = wire + TLEP_PAYLOAD_AT - 3;
    body[0] = (uint8_t)kind;
    body[1] = (uint8_t)seq;
    body[2] = (uint8_t)(seq >> 8);
    uint32_t crc = tlep_crc32(body, 3 + payload_bytes);
    for (uint32_t i = 0; i < 4; i++) {
        body[3 + payload_bytes + i] = (uint8_t)(crc >> (8 * i));
    }
    wire[0] = 0;
    uint32_t n = 1 + tlep_cobs_encode(body, payload_bytes + TLEP_FRAME_OVERHEAD, wire + 1);
    wire[n] = 0;
    return n + 1;
}
