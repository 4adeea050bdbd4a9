#include "host.h"

#include <stdlib.h>

#include "link/cbor.h"
#include "link/frame.h"

static uint32_t replies;
static uint16_t last_seq;

void fuzz_check(bool promise)
{
    if (!promise) {
        abort();
    }
}

void fuzz_host_receive(const uint8_t *wire, uint32_t n)
{
    static tlep_receiver receiver;
    tlep_frame frame = {.bytes = 0};
    uint32_t frames = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (tlep_receive(&receiver, wire[i], &frame)) {
            frames++;
            fuzz_check(i + 1 == n && tlep_cbor_valid(frame.payload, frame.bytes));
            fuzz_check(frame.kind != TLEP_REQ && frame.kind != TLEP_DATA);
        }
    }
    fuzz_check(frames == 1);
    if (frame.kind == TLEP_RSP || frame.kind == TLEP_ERR) {
        replies++;
        last_seq = frame.seq;
    }
}

uint32_t fuzz_host_replies(void)
{
    return replies;
}

uint16_t fuzz_host_last_seq(void)
{
    return last_seq;
}
