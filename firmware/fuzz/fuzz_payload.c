/* Reading a payload stays inside it, whatever it holds; and a frame gives back the bytes that were
 * framed.
 *
 * fuzz_link reads payloads inside the firmware's receiver, where one byte too far still belongs to
 * the receiver. Here a payload is a block of exactly its size, so AddressSanitizer sees it. */
#include <stdlib.h>
#include <string.h>

#include "link/cbor.h"
#include "link/frame.h"
#include "host.h"

enum { KEYS = 12 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each way in which ops.c looks a key up. */
static void look_up(const uint8_t *payload, uint32_t n, uint32_t key)
{
    uint32_t narrow;
    uint64_t wide;
    uint32_t count;
    const uint8_t *bytes;
    tlep_cbor_item array;
    (void)tlep_cbor_find_u32(payload, n, key, &narrow);
    (void)tlep_cbor_find_u64(payload, n, key, &wide);
    if (tlep_cbor_find_bytes(payload, n, key, &bytes, &count)) {
        fuzz_check(bytes >= payload && count <= n && bytes + count <= payload + n);
    }
    if (tlep_cbor_find_array(payload, n, key, &array)) {
        const uint8_t *at = array.data;
        for (uint64_t i = 0; i < array.value && tlep_cbor_next_u32(&at, payload + n, &narrow);
             i++) {
            fuzz_check(at <= payload + n);
        }
    }
}

static void frame_and_receive(const uint8_t *payload, uint32_t n)
{
    uint8_t *wire = malloc(TLEP_MAX_WIRE);
    tlep_receiver *receiver = calloc(1, sizeof *receiver);
    tlep_frame frame = {.bytes = 0};
    bool whole = false;
    memcpy(wire + TLEP_PAYLOAD_AT, payload, n);
    uint32_t wire_bytes = tlep_frame_build(wire, TLEP_REQ, 1, n);
    for (uint32_t i = 0; i < wire_bytes; i++) {
        whole = tlep_receive(receiver, wire[i], &frame);
    }
    fuzz_check(whole && frame.bytes == n && memcmp(frame.payload, payload, n) == 0);
    free(wire);
    free(receiver);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t n = size < TLEP_MAX_PAYLOAD ? (uint32_t)size : TLEP_MAX_PAYLOAD;
    if (n == 0) {
        return 0;
    }
    uint8_t *payload = malloc(n);
    memcpy(payload, data, n);
    if (tlep_cbor_valid(payload, n)) {
        for (uint32_t key = 0; key < KEYS; key++) {
            look_up(payload, n, key);
        }
    }
    frame_and_receive(payload, n);
    fuzz_check(tlep_cobs_decode(payload, n) <= n); /* in place: the last look at it */
    free(payload);
    return 0;
}
